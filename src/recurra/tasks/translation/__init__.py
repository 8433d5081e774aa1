"""Many-to-many with different lengths: a text to another text.

plan      what a config says              columns   which column of a file is which
task      the five verbs                  pairs     a row: what is read, what should be written
readers   tokens and vocabularies         batches   pairs to tensors, numbers to tokens, copying
losses    under teacher forcing           search    greedy, beam
answers   candidates and attention        warnings  what a person should know beside the answers
tables    by length, by group, examples        explain   what can be looked into
"""

"""Many-to-many with equal lengths: a tag for each token, or spans of a text.

plan        what a config says              columns   which column of a file is which
task        the five verbs                  cutting   a raw text to tokens that know where they stand
sentences   a row: its tokens, its tags     readers   words and letters to numbers
tagset      the tags that a model says, and what may follow what
decoding    the best tags, and how sure     answers   spans, or words with their tags
tables      confusion, kinds of mistakes, examples
"""

"""Many-to-many with equal lengths: a tag for each token, or spans of a text.

plan        what a config says              columns   which column of a file is which
task        the five verbs                  readers   words and letters to numbers
sentences   a row: its tokens, its tags     tagset    the tags that a model says, and what may follow what
dictionary  what training rows say of a word
decoding    the best tags, and how sure     answers   spans, or words with their tags
tables      the sentences with the most mistakes
explain     what can be looked into
"""

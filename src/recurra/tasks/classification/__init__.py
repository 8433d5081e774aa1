"""Many-to-one: a text to its label.

task       the plan a config describes, and the five verbs
labels     what differs between one label a row and many
streaming  a text that comes piece by piece
explain    what can be looked into
"""

"""A text, token by token: how probable what follows is, and what could.

plan        what a config says               task       the five verbs
documents   rows to documents to passages    order      documents as streams, for truncated back-propagation
scoring     perplexity, bits per character   tables     by position, by rank of the token, and what it writes
generation  one token after the other        suggesting the word that is being typed, and the next one
columns     which column holds the text      streaming  how probable a text is that comes piece by piece
explain     what can be looked into
"""

"""From a raw file to batches of indices and sequences of ids. Nothing here knows a task, a label or a model.

formats      csv, tsv, jsonl, text and gzip of each: `read` gives records, lazily; broken rows are named
tokenizers   words, characters, trained subwords; the vocabulary
ngrams       runs of words and of characters, counted      dictionary  what is looked up of a word
splits       train, dev and test from one file, by hash, stratified at random or in order; overlap between splits
store        rows and examples in memory, or in files without a name
preparing    what a task is given to prepare its data with
ordering     orders of many rows in little memory
batches      which examples go together, as a function of (seed, epoch)
streams      which chunks of long documents go together, likewise
midi         MIDI files from chords or ABC notation
embedded     data sets that are on every machine
"""

"""Ground floor: nouns that every room shares, and nothing that acts on them.

contracts   the nouns of the data's way: Record, Batch, Prediction, Loss, Score, Progress
errors      what a user's mistake becomes: ConfigError, DataError, ShapeError, RunError
option      how a constructor documents and bounds a parameter that a config file may set
registry    short words to things, with a helpful error for a misspelt word
normal      one spelling of a text, and of the names that people give to columns and labels
digest      a value in 32 bytes, for fingerprints
packed      long texts in fewer bytes
plain_json  JSON that anybody may have written
atomic      a file is there whole or not at all
importing   the garbage collector rests while modules are imported
"""

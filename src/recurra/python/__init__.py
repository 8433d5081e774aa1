"""What `import recurra` offers: training, runs and their scores as a person at a prompt or in a notebook uses them.

training     train, resume: from a file, a frame or rows to a Run
run          Run, load: predict, evaluate, explain, generate, export
evaluation   Evaluation: scores beside baselines, as a dict, as text, as HTML
options      keywords and nested dicts as options of a config
reading      how a file is read, as keywords
rows         frames, arrays, dicts and texts as rows
notebook     a bar in a notebook, with the scores of each epoch
watching     who hears what happens: a notebook, a terminal, or whoever was given
"""

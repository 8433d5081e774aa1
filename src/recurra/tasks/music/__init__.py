"""Music: pieces as chords, one a step; a model says which notes sound next.

plan      what a config says      task        the five verbs, and what a report shows
chords    reading and writing     scoring     nats a step, frame accuracy, baselines
explain   what can be seen        generation  a piece continued
rolls     notes over steps, as they came and were expected
"""

from recurra.tasks.music.generation import MusicGenerator
from recurra.tasks.music.plan import MusicConfig
from recurra.tasks.music.task import Music

__all__ = ["Music", "MusicConfig", "MusicGenerator"]

"""What a field of a record holds: its kind, how it is read, and how much of it there may be.

text     words, or a list of tokens          numbers  one number a step, or a list of them
audio    a sound file, or its name               frames   a file of features, or lists of them
image    a picture file, or its name      film     a folder of pictures, a video, or pictures in a list
"""

from __future__ import annotations

from recurra.base.registry import Registry
from recurra.data.fields.audio import AUDIO, names_sound
from recurra.data.fields.contract import Field, FieldKind
from recurra.data.fields.films import FILM
from recurra.data.fields.frames import FEATURES
from recurra.data.fields.images import IMAGE
from recurra.data.fields.numbers import NUMBERS, numbers_of
from recurra.data.fields.text import TEXT

FIELD_KINDS: Registry[FieldKind] = Registry("kind of field", "recurra.fields")
FIELD_KINDS.add("text", TEXT)
FIELD_KINDS.add("numbers", NUMBERS)
FIELD_KINDS.add("audio", AUDIO)
FIELD_KINDS.add("frames", FEATURES)
FIELD_KINDS.add("image", IMAGE)
FIELD_KINDS.add("film", FILM)

__all__ = [
    "AUDIO",
    "FEATURES",
    "FIELD_KINDS",
    "FILM",
    "IMAGE",
    "NUMBERS",
    "TEXT",
    "Field",
    "FieldKind",
    "names_sound",
    "numbers_of",
]

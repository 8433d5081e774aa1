"""How much one request may ask for, and for how long: all bounds of the service in one place."""

from __future__ import annotations

from dataclasses import dataclass

from recurra.data.fields.numbers import LONGEST as LONGEST_NUMBERS
from recurra.data.fields.text import LONGEST

# In the description of the service, so that a client knows them beforehand.
MOST_RECORDS = 256
LONGEST_TEXT, LONGEST_CELL = LONGEST, LONGEST_NUMBERS
WIDEST_BEAM = 16
MOST_TOKENS = 1000
MOST_SUGGESTIONS = 20
MOST_WORDS, MOST_NEIGHBOURS = 10, 100
MOST_PICTURES, MOST_FOUND_TEXTS = 50, 50
# Words that are likelier in speech, nats of each, and characters of all of them in an address.
MOST_HOT, HOTTEST_WORD, LONGEST_HOT = 50, 100.0, 2000
LONGEST_NAME = 100
# Of rows that are drawn together, and points of series; characters of a CSV file, or of codes.
MOST_STEPS, MOST_POINTS, LONGEST_DATA = 100_000, 100_000, 2**23
HOTTEST, LARGEST_TOP_K, LARGEST_SEED, LONGEST_STOP = 100.0, 100_000, 2**63 - 1, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an operator may set.

    body_bytes:     a larger body is refused with 413, before it is read to its end
    bodies_bytes:   of all bodies that are there at once, until they are answered; beyond that one is refused with 503
    seconds:        a request that takes longer is answered with 504, and its work is given up
    delay:          seconds that a request waits for others, to share a batch with them, while nothing is computed
    waiting:        requests that may wait for a model, whatever they ask for; more are refused with 503
    requests:       requests of all kinds at once; more are refused with 503
    body_seconds:   until the body has arrived; then 408
    header_seconds: until the head of a request has arrived; then the connection is closed
    sessions:       kept at once; session_seconds: without a word, after which one is forgotten
    sounds:         heard at once, piece by piece      sound_seconds: of each, at most
    sound_idle:     seconds without a piece, after which one is given up
    drain_seconds:  after SIGTERM, for what has begun
    """

    body_bytes: int = 2**20
    bodies_bytes: int = 2**28
    seconds: float = 30.0
    delay: float = 0.002
    waiting: int = 256
    requests: int = 512
    body_seconds: float = 10.0
    header_seconds: float = 10.0
    sessions: int = 1000
    session_seconds: float = 600.0
    sounds: int = 16
    sound_seconds: float = 4 * 3600.0
    sound_idle: float = 30.0
    drain_seconds: float = 8.0

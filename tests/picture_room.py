"""Small pictures with captions: a colour fills the left or the right half."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from recurra.data.pictures import png_of

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 160, 30)}
SIDES = ("left", "right")
SIDE = 12


def picture(colour: str, side: str, seed: int = 0) -> bytes:
    """A PNG with a little noise."""
    rng = np.random.default_rng(seed)
    pixels = np.full((SIDE, SIDE, 3), 255.0)
    half = slice(0, SIDE // 2) if side == "left" else slice(SIDE // 2, SIDE)
    pixels[:, half] = COLOURS[colour]
    return png_of(np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8))


def captions(colour: str, side: str) -> tuple[str, str]:
    return f"a {colour} wall on the {side}", f"{colour} on the {side}"


def write(folder: Path, number: int, seed: int, name: str = "captions.csv") -> Path:
    """Pictures of all kinds in turn, each with two captions, a row each; the file of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for k in range(number):
        colour, side = list(COLOURS)[k % 3], SIDES[k // 3 % 2]
        (folder / f"{k}.png").write_bytes(picture(colour, side, 1000 * seed + k))
        rows += [(f"{k}.png", caption) for caption in captions(colour, side)]
    with open(folder / name, "w", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])
    return folder / name

"""A piece of music continued, one chord after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Origin, Record, most_steps
from recurra.base.errors import ConfigError
from recurra.nn.modes import in_evaluation
from recurra.tasks.contract import GenerationOptions, Piece
from recurra.tasks.music.chords import Chord, chords_of, note_name, outside, written


class MusicGenerator:
    """Goes on with a piece. Pieces have no end that could be written: `length` chords follow."""

    def __init__(self, model: torch.nn.Module, lowest: int, highest: int) -> None:
        self._model = model
        self._lowest = lowest
        self._highest = highest

    def write(self, prompt: str, how: GenerationOptions) -> Iterator[Piece]:
        """The chords that follow those of the prompt ("" begins a piece).

        temperature: logits are divided by it; 0 takes the notes with a probability above 1/2
        Raises ConfigError, at once, for an option out of its range or without effect, DataError for what is no chord.
        """
        without = "has no effect on music, where each note is drawn by itself; leave it out."
        how.refuse(("top_k", "top_p", "stop"), without)
        chords = chords_of(Record({"prompt": prompt}, Origin("prompt")), "prompt")
        for note in (note for chord in chords for note in outside(chord, self._lowest, self._highest)):
            raise ConfigError(f"prompt: {note_name(note)} ({note}) is not in {self._lowest}..{self._highest}.")
        return self._write(chords, how, _generator(how.seed, how.number))

    def sample(self, prompt: str, *, temperature: float, seed: int, length: int) -> str:
        """So many chords after the prompt, as one line."""
        how = GenerationOptions(length=length, temperature=temperature, seed=seed)
        return "".join(w.text for w in self.write(prompt, how)).strip()

    def _write(self, chords: tuple[Chord, ...], how: GenerationOptions, draws: torch.Generator) -> Iterator[Piece]:
        device = next(self._model.parameters()).device
        # The chord before each step that is read: none before the first.
        notes = torch.zeros(1 + len(chords), 1, self._highest - self._lowest + 1, dtype=torch.float32, device=device)
        for step, chord in enumerate(chords, start=1):
            notes[step, 0, [note - self._lowest for note in chord]] = 1.0
        state: dict[str, Tensor] = {}
        length = how.length if (most := self._most()) is None else min(how.length, max(most - len(chords), 1))
        for k in range(length):
            logits, state = self._read(notes, state)
            chosen = _draw(logits, how.temperature, draws)
            log_prob = -torch.nn.functional.binary_cross_entropy_with_logits(logits, chosen, reduction="sum")
            chord = tuple(int(place) + self._lowest for place in torch.nonzero(chosen)[:, 0])
            space = " " if k or chords else ""
            yield Piece(how.number, space + written([chord]), float(log_prob), k + 1 == length)
            notes = chosen.float().to(device).view(1, 1, -1)

    def _most(self) -> int | None:
        """Chords that the model reads of a piece, the place before the first among them; None: any number."""
        most = most_steps(getattr(self._model, "encoder", None), {})
        return None if most is None else int(most)

    def _read(self, notes: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (notes,) of the next chord, in float64, and the state after these."""
        with torch.no_grad(), in_evaluation(self._model):
            batch = Batch({"features": notes, **state}, torch.tensor([len(notes)], dtype=torch.int64), {}, ())
            outputs = self._model(batch).outputs
        states = {name: value for name, value in outputs.items() if name.startswith("state.")}
        return outputs["logits"][-1, 0].double().cpu(), states


def _generator(seed: int, number: int) -> torch.Generator:
    """Draws of its own for each pair."""
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _draw(logits: Tensor, temperature: float, draws: torch.Generator) -> Tensor:
    """Zeros and ones of float64."""
    if temperature == 0:
        return (logits > 0).double()
    return (
        torch.rand(len(logits), generator=draws, dtype=torch.float64) < torch.sigmoid(logits / temperature)
    ).double()

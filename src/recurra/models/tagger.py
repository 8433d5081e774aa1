"""A sequence of words to a label for each: word and character vectors, recurrent layers, softmax or a CRF."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.cells import CELLS
from recurra.engine import BACKENDS, sequence_mask
from recurra.models import options as o
from recurra.nn import CHARACTERS, Embedding, Linear, Recurrent
from recurra.nn.merge import MERGES

# The number of a word that the vocabulary lacks; padding is 0.
UNKNOWN = 1
# Numbers in a letter's vector, and units a direction, or filters: Lample et al. 2016, section 5.1; Ma & Hovy 2016, 3.2.
USUAL_CHARACTER_SIZES = {"lstm": (25, 25), "cnn": (30, 30)}


class Tagger(nn.Module):
    """Words (T, N) with their characters (C, T, N) to a score for each label at each word.

    num_words, num_characters, num_labels: sizes of the vocabularies; word 0 is padding, word 1 an unknown one
    Sources: Lample et al. 2016, arXiv:1603.01360; Ma & Hovy 2016, arXiv:1603.01354; Huang et al. 2015,
    arXiv:1508.01991.
    Raises ConfigError, with all problems at once, for options that cannot take effect.
    """

    def __init__(
        self,
        num_words: int,
        num_characters: int,
        num_labels: int,
        *,
        output: Annotated[
            str, Opt("crf scores a whole labelling, softmax each word by itself", choices=("crf", "softmax"))
        ] = "crf",
        embedding_size: Annotated[int, Opt("numbers in a word's own vector", ge=1, le=o.WIDEST)] = 100,
        characters: Annotated[
            str, Opt("a word's vector from its letters, beside its own", choices=("none", *CHARACTERS))
        ] = "lstm",
        character_embedding_size: Annotated[
            int | None, Opt("numbers in a letter's vector; null is 25 for lstm, 30 for cnn", ge=1, le=o.WIDEST)
        ] = None,
        character_size: Annotated[
            int | None,
            Opt("units of a direction, or filters, over letters; null is 25 for lstm, 30 for cnn", ge=1, le=o.WIDEST),
        ] = None,
        cell: Annotated[str, Opt("recurrent cell; `recurra explain cell` shows each", choices=CELLS)] = "lstm",
        hidden_size: Annotated[int, Opt("units per layer and direction", ge=1, le=o.WIDEST)] = 128,
        num_layers: Annotated[int, Opt("recurrent layers, one on the other", ge=1, le=o.DEEPEST)] = 1,
        bidirectional: Annotated[bool, Opt("read in both directions")] = True,
        merge: Annotated[str, Opt("how two directions become one output", choices=MERGES)] = "concat",
        proj_size: Annotated[
            int, Opt("units after the projection, for lstm_projected; 0 is none", ge=0, le=o.WIDEST)
        ] = 0,
        word_dropout: Annotated[
            float, Opt("share of words that training reads as unknown, by their letters alone", ge=0, lt=1)
        ] = 0.05,
        embedding_dropout: Annotated[float, Opt("dropout on the vectors of words and letters", ge=0, lt=1)] = 0.0,
        dropout: o.Dropout = 0.0,
        variational_dropout: o.VariationalDropout = 0.0,
        zoneout: o.Zoneout = 0.0,
        output_dropout: o.OutputDropout = 0.0,
        init: o.Init = "torch",
        forget_bias: o.ForgetBias = None,
        backend: Annotated[
            str, Opt("what runs the cells; auto takes the fastest", choices=("auto", *BACKENDS))
        ] = "auto",
    ) -> None:
        super().__init__()
        letters = {"character_embedding_size": character_embedding_size, "character_size": character_size}
        _refuse(output, characters, letters, dropout=dropout, num_layers=num_layers)
        self.embedding = Embedding(num_words, embedding_size)
        with torch.no_grad():  # where training has no unknown word, this vector stays as it is, and must not be noise
            self.embedding.weight[UNKNOWN] = 0.0
        self.characters = None
        width = embedding_size
        if characters != "none":
            usual = USUAL_CHARACTER_SIZES[characters]
            sizes = (character_embedding_size or usual[0], character_size or usual[1])
            self.characters = CHARACTERS[characters](num_characters, *sizes, backend)
            width += self.characters.output_size
        self.word_dropout = word_dropout
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.recurrent = Recurrent(
            width,
            hidden_size,
            num_layers,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            cell=cell,
            merge=merge,
            variational_dropout=variational_dropout,
            zoneout=zoneout,
            init=init,
            forget_bias=forget_bias,
            backend=backend,
        )
        self.output_dropout = nn.Dropout(output_dropout)
        self.output = Linear(self.recurrent.output_size, num_labels)
        self.crf = Transitions(num_labels) if output == "crf" else None

    def forward(self, batch: Batch) -> Prediction:
        """Scores of labels at each word.

        batch: inputs["words"] (T, N), lengths (N,), and, but for characters: none, inputs["characters"] (C, T, N) and
        inputs["character_lengths"] (T, N); what is padded may be anything.
        outputs: "emissions" (T, N, L); with crf also "transitions" (L, L) [from, to], "first" (L,), "last" (L,), as
        `recurra.nn.crf` reads them.
        """
        words = batch.inputs["words"]
        lengths = batch.lengths.to(words.device)
        real = sequence_mask(lengths, len(words))
        hidden, _ = self.recurrent(self.embedding_dropout(self._vectors(batch, real)), lengths=lengths)
        found = {"emissions": self.output(self.output_dropout(hidden))}
        return Prediction(found if self.crf is None else found | self.crf())

    def _vectors(self, batch: Batch, real: Tensor) -> Tensor:
        """A word's own vector and that of its letters, side by side: (T, N, I)."""
        words = torch.where(real, batch.inputs["words"], 0)
        if self.word_dropout and self.training:
            hidden = real & (torch.rand(words.shape, dtype=torch.float32, device=words.device) < self.word_dropout)
            words = torch.where(hidden, UNKNOWN, words)
        own: Tensor = self.embedding(words)
        if self.characters is None:
            return own
        lengths = torch.where(real, batch.inputs["character_lengths"], 0)
        return torch.cat([own, self.characters(batch.inputs["characters"], lengths)], 2)


class Transitions(nn.Module):
    """The scores of pairs of labels, of the first label and of the last one; 0 at the start, so all pairs are alike."""

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(num_labels, num_labels))
        self.first = nn.Parameter(torch.zeros(num_labels))
        self.last = nn.Parameter(torch.zeros(num_labels))

    def forward(self) -> dict[str, Tensor]:
        return {"transitions": self.transitions, "first": self.first, "last": self.last}


def _refuse(output: str, characters: str, letters: dict[str, int | None], *, dropout: float, num_layers: int) -> None:
    """Raise ConfigError with every option of the tagger's own that is unknown or could not take effect."""
    problems = []
    if output not in ("crf", "softmax"):
        problems.append(f"output: is '{output}', expected crf or softmax.")
    if characters != "none" and characters not in CHARACTERS:
        problems.append(f"characters: is '{characters}', expected none, {' or '.join(CHARACTERS)}.")
    if characters == "none":
        problems += [
            f"{word}: has no effect with characters: none; leave one of them out."
            for word, value in letters.items()
            if value is not None
        ]
    if dropout and num_layers == 1:
        problems.append("dropout: acts between layers, and there is one; use output_dropout, or 0.")
    if problems:
        raise ConfigError(problems)

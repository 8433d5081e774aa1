"""Training a tagger beside Flair's and beside plain torch.nn, interleaved: `python benchmarks/tagger_speed.py`.

The same network for all: a word's own vector beside the last states of a bidirectional LSTM over its letters, one
bidirectional LSTM over the sentence, a linear layer, and a conditional random field or a softmax. A training step goes
from sentences, as each library holds them, over loss and gradients to Adam's update. No dropout. A Markdown table goes
to standard output: tokens a second, from medians. With one thread the clock counts CPU time, with more wall time.

torch.nn's gets recurra's weights first, and the two must have the same loss. Flair's must have as many parameters,
within a hundredth: its field has a start and a stop tag more. It is left out where Flair is not installed.
Source: Akbik et al. 2019, "FLAIR: An Easy-to-Use Framework for State-of-the-Art NLP" (NAACL demonstrations).
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.base.contracts import Batch, Origin, Record
from recurra.bench.clock import Meter
from recurra.models import SequenceModel
from recurra.tasks import Tagging, TaggingConfig

PEER = "flair"
N, SHORTEST, LONGEST, V, TAGS = 32, 5, 45, 10_000, 17
WORD, LETTER, LETTERS = 100, 25, 25
# float32, and sums in another order.
AGREE, AS_MANY = 1e-4, 0.01


@dataclass(frozen=True, slots=True)
class Case:
    """One network. output: crf or softmax      hidden: units of a direction"""

    output: str
    hidden: int


CASES = tuple(Case(output, hidden) for output in ("crf", "softmax") for hidden in (128, 256))


def sentences() -> tuple[list[list[str]], list[list[str]]]:
    """Words and tags of a batch: words as frequent as Zipf has them, of 1 to 12 letters, spelt always alike."""
    rng = np.random.default_rng(0)
    letters = [chr(97 + k) for k in range(26)]
    words = ["".join(rng.choice(letters, size=rng.integers(1, 13))) + str(k % 10) for k in range(V)]
    chances = 1 / np.arange(1, V + 1)
    lengths = rng.integers(SHORTEST, LONGEST + 1, size=N)
    texts = [[words[k] for k in rng.choice(V, size=n, p=chances / chances.sum())] for n in lengths]
    return texts, [[f"T{k}" for k in rng.integers(TAGS, size=n)] for n in lengths]


class Ours:
    """recurra: its task, its model, its loss."""

    def __init__(self, case: Case, texts: list[list[str]], tags: list[list[str]]) -> None:
        rows = [
            Record({"token": words, "tag": row}, Origin("drawn", n))
            for n, (words, row) in enumerate(zip(texts, tags, strict=True))
        ]
        self.task: Tagging = TaggingConfig(file_scheme="plain").fit(rows, "drawn")
        self.examples = [self.task.example(row) for row in rows]
        letters = {"character_embedding_size": LETTER, "character_size": LETTERS}
        self.model = SequenceModel(
            self.task.model_sizes,
            inputs={"name": "words_and_characters", "embedding_size": WORD, "word_dropout": 0.0, **letters},
            encoder={"name": "recurrent", "hidden_size": case.hidden, "bidirectional": True},
            head={"name": "tags", "output": case.output},
        )
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def batch(self) -> Batch:
        return self.task.collate(self.examples, range(N))

    def step(self) -> float:
        batch = self.batch()
        return stepped(self.task.loss(self.model(batch), batch).mean, self.optimizer)


class Plain(nn.Module):
    """The same network of torch's own layers, with packed sequences."""

    def __init__(self, ours: Ours, case: Case) -> None:
        super().__init__()
        self.ours = (ours.batch,)
        words, letters, tags = (ours.task.model_sizes[name] for name in ("words", "characters", "labels"))
        self.words, self.letters = (
            nn.Embedding(words, WORD, padding_idx=0),
            nn.Embedding(letters, LETTER, padding_idx=0),
        )
        self.speller = nn.LSTM(LETTER, LETTERS, bidirectional=True)
        self.reader = nn.LSTM(WORD + 2 * LETTERS, case.hidden, bidirectional=True)
        self.output = nn.Linear(2 * case.hidden, tags)
        self.field = nn.ParameterList([torch.zeros(tags, tags), torch.zeros(tags), torch.zeros(tags)])
        self.crf = case.output == "crf"
        self._take(ours.model)
        self.optimizer = torch.optim.Adam(self.parameters())

    def step(self) -> float:
        return stepped(self.loss(self.ours[0]()), self.optimizer)

    def loss(self, batch: Batch) -> Tensor:
        """Nats a token."""
        real = torch.arange(len(batch.inputs["words"])).unsqueeze(1) < batch.lengths
        vectors = torch.cat([self.words(batch.inputs["words"]), self._spelt(batch, real)], 2)
        packed, _ = self.reader(pack_padded_sequence(vectors, batch.lengths, enforce_sorted=False))
        emissions = self.output(pad_packed_sequence(packed, total_length=len(vectors))[0])
        tags = batch.targets["tags"]
        if not self.crf:
            return nn.functional.cross_entropy(emissions[real], tags[real])
        return self._nats(emissions, tags, real) / real.sum()

    def _spelt(self, batch: Batch, real: Tensor) -> Tensor:
        """The last states over the letters of each word, zero where there is none: (T, N, 2 * LETTERS)."""
        sizes = batch.inputs["character_lengths"][real]
        letters = self.letters(batch.inputs["characters"][:, real])
        _, (h, _) = self.speller(pack_padded_sequence(letters, sizes, enforce_sorted=False))
        found = h.new_zeros(*real.shape, 2 * LETTERS)
        found[real] = torch.cat([h[0], h[1]], 1)
        return found

    def _nats(self, emissions: Tensor, tags: Tensor, real: Tensor) -> Tensor:
        """-log p of the tags by sums of logs, as tutorials write it."""
        transitions, first, last = self.field
        T, N = tags.shape
        a = first + emissions[0]
        score = first[tags[0]] + emissions[0].gather(1, tags[0].unsqueeze(1)).squeeze(1)
        for t in range(1, T):
            m = real[t]
            step = torch.logsumexp(a.unsqueeze(2) + transitions, 1) + emissions[t]
            a = torch.where(m.unsqueeze(1), step, a)
            pair = transitions[tags[t - 1], tags[t]] + emissions[t].gather(1, tags[t].unsqueeze(1)).squeeze(1)
            score = score + torch.where(m, pair, 0.0)
        final = tags[real.sum(0) - 1, torch.arange(N)]
        return (torch.logsumexp(a + last, 1) - score - last[final]).sum()

    def _take(self, ours: SequenceModel) -> None:
        inputs = ours.inputs
        with torch.no_grad():
            self.words.weight.copy_(inputs.embedding.weight)
            self.letters.weight.copy_(inputs.characters.embedding.weight)
        self.speller.load_state_dict(inputs.characters.recurrent.state_dict())
        self.reader.load_state_dict(ours.encoder.recurrent.state_dict())
        self.output.load_state_dict(ours.head.output.state_dict())


class Flair:
    """Flair's SequenceTagger of the same sizes, on vectors that it learns from nothing."""

    def __init__(self, case: Case, texts: list[list[str]], tags: list[list[str]]) -> None:
        from flair.data import Dictionary, Sentence
        from flair.embeddings import CharacterEmbeddings, OneHotEmbeddings, StackedEmbeddings
        from flair.models import SequenceTagger

        self.sentences = [Sentence(words) for words in texts]
        for sentence, row in zip(self.sentences, tags, strict=True):
            for token, tag in zip(sentence, row, strict=True):
                token.add_label("tag", tag)
        words = _dictionary(Dictionary, [word.lower() for row in texts for word in row])
        letters = _dictionary(Dictionary, [letter for row in texts for word in row for letter in word])
        self.model = SequenceTagger(
            embeddings=StackedEmbeddings(
                [OneHotEmbeddings(words, embedding_length=WORD), CharacterEmbeddings(letters, LETTER, LETTERS)]
            ),
            tag_dictionary=_dictionary(Dictionary, [tag for row in tags for tag in row], unknown=False),
            tag_type="tag",
            hidden_size=case.hidden,
            use_crf=case.output == "crf",
            reproject_embeddings=False,
            dropout=0.0,
            word_dropout=0.0,
            locked_dropout=0.0,
        )
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def step(self) -> float:
        nats, count = self.model.forward_loss(self.sentences)
        found = stepped(nats / count, self.optimizer)
        for sentence in self.sentences:
            sentence.clear_embeddings()
        return found


def _dictionary(make: Any, items: Sequence[str], *, unknown: bool = True) -> Any:
    found = make(add_unk=unknown)
    for item in dict.fromkeys(items):
        found.add_item(item)
    return found


def stepped(loss: Tensor, optimizer: torch.optim.Optimizer) -> float:
    """Gradients and update; the loss."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def main() -> int:
    """Print the table. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring a network")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable(logging.INFO)
    there = importlib.util.find_spec(PEER) is not None
    said = f"{PEER} {version(PEER)}" if there else f"{PEER} is not installed"
    print(f"{said}, torch {torch.__version__}, {options.threads} thread(s)\n")
    print("| output, units | recurra, tokens a second | torch.nn, packed | | Flair | |")
    print("|---|---|---|---|---|---|")
    texts, tags = sentences()
    for case in CASES:
        print(row(case, texts, tags, options, with_flair=there), flush=True)
    return 0


def row(
    case: Case, texts: list[list[str]], tags: list[list[str]], options: argparse.Namespace, *, with_flair: bool
) -> str:
    """A line of the table. Raises RuntimeError where recurra and torch.nn have different losses."""
    torch.manual_seed(0)
    ours = Ours(case, texts, tags)
    plain = Plain(ours, case)
    works: dict[str, Callable[[], float]] = {"ours": ours.step, "plain": plain.step}
    if with_flair:
        peer = Flair(case, texts, tags)
        check_same_size(ours.model, peer.model)
        works["flair"] = peer.step
    first = {name: work() for name, work in works.items()}
    if abs(first["ours"] - first["plain"]) > AGREE * first["plain"]:
        raise RuntimeError(f"loss: recurra has {first['ours']}, torch.nn {first['plain']}, expected the same number.")
    seconds = Meter.of(options.seconds, options.threads).medians(works)
    count = sum(map(len, texts))
    cells = [f"{count / seconds['ours']:,.0f}"]
    for name in ("plain", "flair"):
        known = name in seconds
        cells += [f"{count / seconds[name]:,.0f}", f"{seconds[name] / seconds['ours']:.2f}x"] if known else ["", ""]
    return f"| {case.output}, {case.hidden} | {' | '.join(cells)} |"


def check_same_size(ours: nn.Module, peer: nn.Module) -> None:
    """Raise RuntimeError unless both have as many parameters, or nearly."""
    one, other = (sum(p.numel() for p in model.parameters()) for model in (ours, peer))
    if abs(one - other) > AS_MANY * other:
        raise RuntimeError(f"recurra has {one:,} parameters, {PEER} {other:,}, expected as many.")


if __name__ == "__main__":
    sys.exit(main())

"""A translator beside Joey NMT's, interleaved: `python benchmarks/translation_speed.py`.

Bidirectional encoder, attention after the cell (Luong et al. 2015), one layer each, random sentences as long as those
of Multi30k. A training step is loss, gradients, clipping and Adam; a search is a beam of 5 over as many steps for both,
since no sentence may end early. recurra gets the peer's weights first, and the two must agree on the numbers.
A Markdown table goes to standard output: target tokens, and sentences, a second, from medians. With one thread the
clock counts CPU time, with more wall time.

Joey NMT pins old packages; this is enough of it: `pip install --no-deps joeynmt`, then what its import asks for.
Source: Kreutzer, Bastings & Riezler 2019, arXiv:1907.12484.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.bench.clock import Meter
from recurra.bench.peak import Peak
from recurra.data.tokenizers import BOS, EOS, PAD, UNK
from recurra.decode import beam_search
from recurra.models import EncoderDecoder
from recurra.tasks.translation.losses import loss_of
from recurra.training.clipping import clip_norm, gradient_norm
from recurra.training.optimizers import adam

PEER = "joeynmt"
ROWS, SHORTEST, LONGEST = 64, 8, 20
V, EMBEDDING, ENCODER, DECODER = 5000, 256, 256, 512
BEAM, STEPS = 5, 20
# float32, and sums in another order over 20 steps. A tie in a search may fall either way: some sentences may differ.
AGREE, SENTENCES_THAT_AGREE = 1e-4, 0.9
# Untrained, each word is as good as another; with the output layer times this, hypotheses differ by whole nats.
SHARPER = 30.0


@dataclass(frozen=True, slots=True)
class Case:
    """One model. attention: recurra's word and the peer's"""

    cell: str
    attention: tuple[str, str]
    input_feeding: bool

    @property
    def words(self) -> str:
        return ", ".join([self.cell, self.attention[0], *["input feeding"] * self.input_feeding])


ADDITIVE, GENERAL = ("additive", "bahdanau"), ("general", "luong")
CASES = tuple(
    Case(cell, attention, feeding)
    for cell in ("lstm", "gru")
    for attention, feeding in ((ADDITIVE, True), (GENERAL, True), (ADDITIVE, False), (GENERAL, False))
)


@dataclass(frozen=True, slots=True)
class Sentences:
    """Random tokens, batch first, 0 where padded; target begins with BOS and ends with EOS. Lengths are with both."""

    source: Tensor
    source_lengths: Tensor
    target: Tensor
    target_lengths: Tensor

    @classmethod
    def draw(cls, rows: int) -> Sentences:
        source_lengths, words = (torch.randint(SHORTEST, LONGEST + 1, (rows,)) for _ in range(2))
        target = torch.cat([torch.full((rows, 1), BOS), _padded(words), torch.full((rows, 1), PAD)], 1)
        target[torch.arange(rows), words + 1] = EOS
        return cls(_padded(source_lengths), source_lengths, target, words + 2)

    @property
    def said(self) -> int:
        """Target tokens that a model is asked for."""
        return int((self.target_lengths - 1).sum())


def _padded(lengths: Tensor) -> Tensor:
    tokens = torch.randint(EOS + 1, V, (len(lengths), int(lengths.max())))
    return torch.where(torch.arange(tokens.shape[1]) < lengths.unsqueeze(1), tokens, PAD)


class Ours:
    """recurra: its model, its loss, its search."""

    def __init__(self, case: Case, sentences: Sentences) -> None:
        self.model = EncoderDecoder(
            {"tokens": V, "target": V},
            inputs={"name": "tokens", "embedding_size": EMBEDDING},
            encoder={"name": "recurrent", "cell": case.cell, "hidden_size": ENCODER, "bidirectional": True},
            decoder={
                "name": "recurrent",
                "embedding_size": EMBEDDING,
                "hidden_size": DECODER,
                "style": "luong",
                "attention": case.attention[0],
                "input_feeding": case.input_feeding,
            },
        )
        self.batch = Batch(
            {
                "tokens": sentences.source.t().contiguous(),
                "target": sentences.target[:, :-1].t().contiguous(),
                "target_lengths": sentences.target_lengths - 1,
            },
            sentences.source_lengths,
            {"tokens": sentences.target[:, 1:].t().contiguous()},
            tuple(range(len(sentences.source_lengths))),
        )
        self.parameters = list(self.model.parameters())
        self.optimizer, self.clip = adam(self.parameters), clip_norm()

    def train(self) -> float:
        """One step; the mean loss before it, in nats."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = loss_of(self.model(self.batch), self.batch, 0.0).mean
        loss.backward()
        self.clip(self.parameters, gradient_norm(self.parameters))
        self.optimizer.step()
        return loss.item()

    def search(self) -> Tensor:
        """The score of each sentence's best hypothesis."""
        self.model.eval()
        with torch.no_grad():
            found = beam_search(
                self,
                self.model.start(self.batch),
                num_rows=len(self.batch.lengths),
                start=BOS,
                end=EOS,
                max_length=STEPS,
                beam=BEAM,
            )
        return torch.tensor([row[0].score for row in found])

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The model's, which never says padding or a start, as in the peer's search, nor an end, see above."""
        log_probs, state = self.model.step(tokens, state)
        return log_probs.index_fill_(1, torch.tensor([PAD, BOS, EOS]), -math.inf), state

    def best(self, tokens: Tensor, state: Any, k: int) -> tuple[Tensor, Tensor, Any] | None:
        """The k best of what it says: three more are asked for, as three are never said."""
        found = self.model.best(tokens, state, k + 3)
        if found is None:
            return None
        values, said, state = found
        never = (said == PAD) | (said == BOS) | (said == EOS)
        if not never.any():
            return values[:, :k], said[:, :k], state
        order = never.to(torch.int8).argsort(dim=1, stable=True)[:, :k]
        return values.masked_fill(never, -math.inf).gather(1, order), said.gather(1, order), state

    def select(self, state: Any, rows: Tensor) -> Any:
        return self.model.select(state, rows)


class Joey:
    """The peer: its model, its loss, its search, as its trainer and its prediction call them."""

    def __init__(self, case: Case, sentences: Sentences) -> None:
        from joeynmt.builders import build_gradient_clipper, build_optimizer
        from joeynmt.model import build_model

        self.model = build_model(_joey_config(case), *[_joey_vocabulary()] * 2)
        self.model.loss_function = ("crossentropy", 0.0)
        self.sentences = sentences
        self.optimizer = build_optimizer({"optimizer": "adam", "learning_rate": 1e-3}, self.model.parameters())
        self.clip = build_gradient_clipper({"clip_grad_norm": 1.0, "clip_grad_val": None})

    def train(self) -> float:
        """One step, as `TrainManager._train_step` and its loop make it; the mean loss before it, in nats."""
        self.model.train()
        batch = self._batch()
        batch.sort_by_src_length()
        total, _, _, _ = self.model(return_type="loss", **vars(batch))
        loss = batch.normalize(total, normalization="tokens")
        loss.backward()
        self.clip(parameters=self.model.parameters())
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())

    def search(self) -> Tensor:
        """The score of each sentence's best hypothesis, in the order of the sentences."""
        from joeynmt.search import search

        self.model.eval()
        batch = self._batch()
        back = batch.sort_by_src_length()
        _, scores, _ = search(
            model=self.model,
            batch=batch,
            max_output_length=STEPS,
            min_output_length=STEPS,
            beam_size=BEAM,
            beam_alpha=-1,
            generate_unk=True,
            return_prob="hyp",
        )
        return torch.from_numpy(scores)[back, 0]

    def _batch(self) -> Any:
        """A new one, since the search and the sorting change it; its padding is another number."""
        from joeynmt.batch import Batch as JoeyBatch

        s = self.sentences
        return JoeyBatch(
            src=s.source.masked_fill(s.source == PAD, UNK),
            src_length=s.source_lengths,
            src_prompt_mask=None,
            trg=s.target.masked_fill(s.target == PAD, UNK),
            trg_prompt_mask=None,
            indices=torch.arange(len(s.source_lengths)),
            device=torch.device("cpu"),
            pad_index=UNK,
            eos_index=EOS,
        )


def _joey_config(case: Case) -> dict[str, Any]:
    layers = {"type": "recurrent", "rnn_type": case.cell, "num_layers": 1, "embeddings": {"embedding_dim": EMBEDDING}}
    decoder = {"hidden_size": DECODER, "attention": case.attention[1], "input_feeding": case.input_feeding}
    return {"encoder": layers | {"hidden_size": ENCODER, "bidirectional": True}, "decoder": layers | decoder}


def _joey_vocabulary() -> Any:
    """Its first two tokens are unknown and padding, ours are padding and unknown; all others have the same numbers."""
    from joeynmt.vocabulary import Vocabulary

    names = {"unk": "<unk>", "pad": "<pad>", "bos": "<bos>", "eos": "<eos>"}
    special = {f"{name}_token": token for name, token in names.items()} | {f"{n}_id": k for k, n in enumerate(names)}
    tokens = [f"t{k}" for k in range(len(names), V)]
    return Vocabulary(tokens, SimpleNamespace(**special, sep_token=None, sep_id=None, lang_tags=[]))


def share_weights(ours: EncoderDecoder, joey: torch.nn.Module) -> None:
    """Give ours the peer's weights. An LSTM's first memory stays ours: the peer makes it from h, with h's matrix."""
    theirs = joey.state_dict()
    swapped = torch.tensor([UNK, PAD, *range(2, V)])
    given = {
        "inputs.embedding.weight": theirs["src_embed.lut.weight"][swapped],
        "decoder.embedding.weight": theirs["trg_embed.lut.weight"][swapped],
        "decoder.output.weight": theirs["decoder.output_layer.weight"][swapped],
        "decoder.output.bias": torch.zeros(V),
        "decoder.readout.joint.weight": theirs["decoder.att_vector_layer.weight"].roll(-DECODER, 1),
        "decoder.attention.score.key.bias": torch.zeros(DECODER),
    }
    renamed = {
        "encoder.rnn.": "encoder.recurrent.",
        "decoder.rnn.": "decoder.recurrent.",
        "decoder.bridge_layer.": "decoder.bridge.maps.h_l0.",
        "decoder.attention.key_layer.": "decoder.attention.score.key.",
        "decoder.attention.query_layer.": "decoder.attention.score.query.",
        "decoder.attention.energy_layer.": "decoder.attention.score.energy.",
    }
    for old, new in renamed.items():
        given |= {name.replace(old, new): value for name, value in theirs.items() if name.startswith(old)}
    known = ours.state_dict()
    ours.load_state_dict({name: value for name, value in given.items() if name in known}, strict=False)


def check_same_work(ours: Ours, joey: Joey) -> None:
    """Raise RuntimeError unless scores and loss agree, from the same weights. Makes one training step."""
    with torch.no_grad():
        joey.model.decoder.output_layer.weight.mul_(SHARPER)
    share_weights(ours.model, joey.model)
    scores = torch.isclose(ours.search(), joey.search(), rtol=AGREE).float().mean().item()
    if scores < SENTENCES_THAT_AGREE:
        raise RuntimeError(f"{scores:.0%} of the best scores agree, expected at least {SENTENCES_THAT_AGREE:.0%}.")
    one, other = ours.train(), joey.train()
    if abs(one - other) > AGREE * other:
        raise RuntimeError(f"loss: recurra has {one}, {PEER} {other}, expected the same number.")


def main() -> int:
    """Print the table. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring a model's training, and its search")
    parser.add_argument("--rows", type=int, default=ROWS, help="sentences in a batch (default: 64); 1: one alone")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=["train", "search"])
    parser.add_argument("--cases", nargs="*", default=[], help="models, in the words of the table (default: all)")
    options = parser.parse_args()
    if importlib.util.find_spec(PEER) is None:
        print(f"{PEER} is not installed: see the first lines of {__file__}.", file=sys.stderr)
        return 1
    torch.set_num_threads(options.threads)
    logging.disable(logging.INFO)
    print(f"{PEER} {version(PEER)}, torch {torch.__version__}, {options.threads} thread(s)\n")
    titles = {"train": "training, tokens a second | Joey NMT | ", "search": "beam 5, sentences a second | Joey NMT | "}
    print(f"| model | {' | '.join(titles[part] for part in options.parts)} |")
    print("|---" * (1 + 3 * len(options.parts)) + "|")
    for case in [case for case in CASES if not options.cases or case.words in options.cases]:
        print(row(case, options), flush=True)
    return 0


def row(case: Case, options: argparse.Namespace) -> str:
    """A line of the table."""
    torch.manual_seed(0)
    sentences = Sentences.draw(options.rows)
    ours, joey = Ours(case, sentences), Joey(case, sentences)
    if case.cell == "gru":  # the LSTM's first memory differs
        check_same_work(ours, joey)
    cells = [case.words]
    if "train" in options.parts:
        cells.append(rates({"ours": ours.train, "joey": joey.train}, sentences.said, options))
    if "search" in options.parts:
        cells.append(rates({"ours": ours.search, "joey": joey.search}, options.rows, options))
    return f"| {' | '.join(cells)} |"


def rates(works: dict[str, Callable[[], object]], count: int, options: argparse.Namespace) -> str:
    """Three cells: ours and the peer's, a second, and how many times as fast ours is."""
    peak = Peak(options.threads)
    for work in works.values():
        work()
    seconds = Meter.of(options.seconds, options.threads).medians(works | peak.works())
    peak.stop()
    ours, joey = seconds["ours"], seconds["joey"]
    return f"{count / ours:,.0f} | {count / joey:,.0f} | {joey / ours:.2f}x"


if __name__ == "__main__":
    sys.exit(main())

"""A masked language model beside `transformers`: the same numbers from the same weights, and speed in training.

python benchmarks/masked_lm.py same RUN            # a run of masked_lm, exported and loaded by BertForMaskedLM
python benchmarks/masked_lm.py speed --steps 6     # BERT-Mini, 4 x 256, 30,522 pieces, sentences of several lengths
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, Trainer, TrainingArguments
from transformers import DataCollatorForLanguageModeling as Collator

from recurra import api
from recurra.api.folder import open_run
from recurra.base.contracts import Origin, Record
from recurra.data.tokenizers import Encoded
from recurra.data.tokenizers.published import from_words
from recurra.models import SequenceModel
from recurra.tasks.masked_lm.masks import MaskRule
from recurra.tasks.masked_lm.sequences import Sequence
from recurra.tasks.masked_lm.task import MaskedLM
from recurra.tasks.text import TextEncoder

# Logits of trained weights are of the size of 10; float32 has 24 bits.
LIMIT = 1e-5
PIECES, LAYERS, WIDTH, HEADS, ROWS = 30_522, 4, 256, 4, 32


def same(run: Path, texts: list[str]) -> bool:
    """Whether log-probabilities at every [MASK] are the same, in float64."""
    trained = open_run(run)
    with tempfile.TemporaryDirectory() as folder:
        print(api.export_published(run, Path(folder) / "bert"))
        theirs = BertForMaskedLM.from_pretrained(Path(folder) / "bert").double().eval()
        cut = BertTokenizerFast.from_pretrained(Path(folder) / "bert")
    task, model = trained.task, trained.model.double().eval()
    worst = 0.0
    for text in texts:
        example = task.example(Record({"text": text}, Origin("argument", 1)), gold=False)
        batch = task.collate([example], (0,))
        with torch.no_grad():
            said = model(batch).outputs
            ours = torch.log_softmax(said["hidden"][:, 0] @ said["output.weight"].T + said["output.bias"], 1)
            asked = cut(text, return_tensors="pt")
            assert asked["input_ids"][0].tolist() == (example.encoded.ids - 4).tolist(), text
            places = (asked["input_ids"][0] == cut.mask_token_id).nonzero()[:, 0]
            other = torch.log_softmax(theirs(**asked).logits[0, places], 1)
        worst = max(worst, float((ours - other).abs().max()))
    print(f"{len(texts)} texts, log-probabilities of all pieces at every [MASK]: {worst:.1e} apart at most (float64)")
    return worst <= LIMIT


def sentences(number: int, longest: int) -> list[list[int]]:
    """Pieces with lengths even in longest / 10 to longest, [CLS] and [SEP] around them."""
    random = np.random.default_rng(1)
    return [
        [101, *random.integers(1000, PIECES, random.integers(longest // 10, longest + 1) - 2).tolist(), 102]
        for _ in range(number)
    ]


def ours(rows: list[list[int]], steps: int) -> float:
    """Pieces a second of whole steps: drawing what is hidden, forward, backward, clipping, AdamW."""
    words = [f"w{n}" for n in range(PIECES)]
    for number, word in ((0, "[PAD]"), (100, "[UNK]"), (101, "[CLS]"), (102, "[SEP]"), (103, "[MASK]")):
        words[number] = word
    pieces = from_words(words, lowercase=True)
    task = MaskedLM(
        TextEncoder(pieces, pieces.vocabulary, 128, "start"), MaskRule.of(pieces, 0.15, whole_words=False),
        text="text", packed=False,
    )  # fmt: skip
    dtype = pieces.vocabulary.dtype
    some = [
        Sequence(
            Encoded(pieces.vocabulary, (np.array(row) + 4).astype(dtype).tobytes()),
            False,
            False,
            "",
            Origin("x"),
            len(row),
        )
        for row in rows
    ]
    torch.manual_seed(1)
    model = SequenceModel(
        task.model_sizes, inputs={"name": "word_pieces", "embedding_size": WIDTH},
        encoder={"name": "pretrained", "hidden_size": WIDTH, "num_layers": LAYERS, "num_heads": HEADS, "pooler": False},
        head={"name": "masked"},
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    sampler = task.sampler(some, batch_tokens=10**9, batch_rows=ROWS, seed=1)
    plan = sampler.plan(1)[: steps + 1]
    seconds, tokens = 0.0, 0
    for number, item in enumerate(plan):
        begun = time.process_time()
        batch = sampler.batch(item)
        model.train()
        optimizer.zero_grad(set_to_none=True)
        task.loss(model(batch), batch).mean.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if number:  # the first one warms up
            seconds, tokens = seconds + time.process_time() - begun, tokens + int(batch.lengths.sum())
    return tokens / seconds


class Rows(Dataset[Any]):
    """Rows as `Trainer` takes them."""

    def __init__(self, rows: list[list[int]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, list[int]]:
        return {"input_ids": self.rows[number], "attention_mask": [1] * len(self.rows[number])}


def theirs(rows: list[list[int]], steps: int) -> float:
    """The same by `Trainer` with its padding collator, in batches of as many rows."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["[PAD]", *[f"[unused{n}]" for n in range(99)], "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        words += [f"w{n}" for n in range(PIECES - len(words))]
        (Path(folder) / "vocab.txt").write_text("\n".join(words) + "\n")
        cut = BertTokenizerFast(str(Path(folder) / "vocab.txt"))
        torch.manual_seed(1)
        config = BertConfig(
            vocab_size=PIECES,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
        )
        model = BertForMaskedLM(config)
        options = TrainingArguments(
            folder, per_device_train_batch_size=ROWS, max_steps=steps + 1, report_to=[], logging_strategy="no",
            save_strategy="no", disable_tqdm=True, use_cpu=True, dataloader_num_workers=0,
        )  # fmt: skip
        marks: list[float] = []
        counted: list[int] = []

        class Timed(Trainer):
            def training_step(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:
                counted.append(int(inputs["attention_mask"].sum()))
                marks.append(time.process_time())
                return super().training_step(model, inputs, *rest, **more)

        Timed(model, options, data_collator=Collator(cut), train_dataset=Rows(rows)).train()
        marks.append(time.process_time())
    # From the second step's start to the end: what stands between two steps is in it, as in ours.
    return sum(counted[1:]) / (marks[-1] - marks[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("same")
    one.add_argument("run", type=Path)
    one.add_argument("texts", nargs="*", default=["the [MASK] is white.", "[MASK] snow [MASK]", "the grass is [MASK]"])
    two = verbs.add_parser("speed")
    two.add_argument("--steps", type=int, default=6)
    two.add_argument("--longest", type=int, default=128)
    args = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    if args.verb == "same":
        return 0 if same(args.run, list(args.texts)) else 1
    torch.set_num_threads(1)
    rows = sentences(ROWS * (args.steps + 2), args.longest)
    a, b = ours(rows, args.steps), theirs(rows, args.steps)
    print(
        f"CPU time of one thread, {args.steps} steps of {ROWS} rows of {args.longest // 10} to {args.longest} pieces:"
    )
    print(f"recurra {a:,.0f} pieces/s, transformers Trainer {b:,.0f}: {a / b:.2f} times")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())

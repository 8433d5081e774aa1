"""Next-sentence prediction: what pairs are made of, their shares, loss and scores, and what cannot be asked for."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.models import SequenceModel
from recurra.tasks import MaskedLM, MaskedLMConfig
from recurra.tasks.masked_lm.masks import PAIR, drawn, key_of
from recurra.tasks.masked_lm.pairs import FOLLOWS, NO_PAIR, OTHER, pair_of, partner
from recurra.tasks.masked_lm.sequences import Sequence as Pieced

WORDS = {"name": "wordpiece", "vocab_size": 300}
# Six documents; each row begins and ends with the letter of its document.
TEXT = [line for d in "abcdef" for line in (*(f"{d} {d} row {k} {d}" for k in range(9)), "")]


def task_of(texts: list[str] = TEXT, **options: Any) -> tuple[MaskedLM, list[Pieced]]:
    plan = MaskedLMConfig(**{"tokenizer": WORDS, "next_sentence": True, "max_length": 27, **options})
    rows = [plan.read(Record({"text": text}, Origin("t.txt", n))) for n, text in enumerate(texts, 1)]
    task, examples = plan.fit_examples(rows, "t.txt")
    return task, [*examples]


def words(task: MaskedLM, ids: Any) -> list[str]:
    return task.vocabulary.tokens([int(number) for number in ids])


def model_of(task: MaskedLM) -> SequenceModel:
    torch.manual_seed(3)
    model = SequenceModel(
        task.model_sizes,
        inputs={"name": "word_pieces", "embedding_size": 8},
        encoder={"name": "pretrained", "hidden_size": 8, "num_heads": 2, "num_layers": 1, "pooler": True},
        head={"name": "masked"},
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def test_a_sequence_knows_where_its_rows_end_and_has_one_of_the_document_before_it() -> None:
    task, examples = task_of()
    assert [one.document for one in examples] == sorted(one.document for one in examples)
    assert len({one.document for one in examples}) == 6
    document = {one.encoded.data: one.document for one in examples}
    for one in examples:
        pieces = words(task, one.encoded.ids)
        assert len(pieces) <= 26  # with the mark between the two of a pair 27
        assert [pieces[end - 1] for end in one.ends] == [pieces[1]] * len(one.ends)
        assert one.ends[-1] == len(pieces) - 1
        assert one.other is not None
        number = one.document - examples[0].document
        assert document[one.other.data] - examples[0].document == (1 if number == 0 else number - 1)
        assert one.length == len(pieces) + (len(one.ends) > 1)


def test_half_of_the_pairs_go_on_and_half_are_of_two_documents() -> None:
    task, examples = task_of()
    kinds, seconds = [], set()
    for epoch in range(1, 301):
        for one in examples:
            key = key_of(1, epoch, one.encoded.data)
            ids, kind = pair_of(one, key, partner(examples, one, key))
            if len(one.ends) < 2:
                assert kind == NO_PAIR
                continue
            pieces, own = words(task, ids), words(task, one.encoded.ids)
            (between, end) = [k for k, piece in enumerate(pieces) if piece == "[SEP]"]
            first, second = pieces[1:between], pieces[between + 1 : end]
            assert (pieces[0], end) == ("[CLS]", len(pieces) - 1)
            assert first == own[1:between]
            assert between in one.ends
            assert second
            letters = {piece for piece in second if piece in "abcdef"}
            assert len(letters) == 1
            assert (kind == FOLLOWS) == (letters == {own[1]})
            if kind == FOLLOWS:
                assert first + second == own[1:-1]
            else:
                assert len(second) <= len(own) - 1 - between
                seconds.add("".join(second[:4]))
            kinds.append(kind)
    number = len(kinds)
    assert number > 3000
    assert np.mean(kinds) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(number))  # 4 deviations of a binomial share
    assert len(seconds) > 20  # of all documents, and from several places of each


def test_what_is_drawn_decides_what_a_pair_is() -> None:
    task, examples = task_of()
    one = next(e for e in examples if len(e.ends) > 2)
    assert one.other is not None
    other = (one.other.ids.astype(np.int64), one.other_ends)
    for key in range(30):
        which, where, _ = drawn(key, 3, PAIR)
        ids, kind = pair_of(one, key, other)
        assert kind == (OTHER if which >= 0.5 else FOLLOWS)
        assert words(task, ids).index("[SEP]") == one.ends[int(where * (len(one.ends) - 1))]


def test_an_epoch_draws_the_same_pairs_again_and_another_one_others() -> None:
    task, examples = task_of()
    sampler = task.sampler(examples, batch_tokens=200, batch_rows=4, seed=7)

    def read(epoch: int) -> list[Any]:
        batches = map(sampler.batch, sampler.plan(epoch))
        return [(batch.inputs["tokens"].tolist(), batch.targets["pairs"].tolist()) for batch in batches]

    assert read(2) == read(2)
    assert read(2) != read(3)
    for batch in map(sampler.batch, sampler.plan(2)):
        assert batch.inputs["tokens"].numel() <= 200
        assert (batch.targets["tokens"] >= 0).all()


def test_the_second_of_a_pair_has_the_second_segment() -> None:
    task, examples = task_of()
    model = model_of(task)
    batch = task.collate(examples[:3], (0, 1, 2))
    segments = model.inputs.segments_of(model.inputs.pieces(batch.inputs["tokens"]))
    for n, length in enumerate(batch.lengths.tolist()):
        between = words(task, batch.inputs["tokens"][:length, n]).index("[SEP]")
        assert segments[:length, n].tolist() == [0] * (between + 1) + [1] * (length - between - 1)


def test_the_loss_is_that_of_pieces_and_of_pairs_weighed_as_the_pieces_of_a_full_sequence() -> None:
    task, examples = task_of()
    model = model_of(task)
    batch = task.collate(examples, range(len(examples)))
    with torch.no_grad():
        said = model(batch)
        loss = task.loss(said, batch)
    kinds = batch.targets["pairs"].numpy()
    logits = said.outputs["pair_logits"].double().numpy()
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    pairs = [-math.log(row[kind]) for row, kind in zip(shares, kinds, strict=True) if kind >= 0]
    told = task.predict(model, batch, examples)
    pieces = math.fsum(value for one in told for value in one.nats)
    assert float(loss.total) == pytest.approx(pieces + 0.15 * 27 * math.fsum(pairs), rel=1e-5)
    assert loss.count == sum(len(one.nats) for one in told)
    scores = {score.name: score.value for score in task.score(told, examples, "dev")}
    assert scores["pair_log_loss"] == pytest.approx(np.mean(pairs), rel=1e-5)
    right = [row.argmax() == kind for row, kind in zip(shares, kinds, strict=True) if kind >= 0]
    assert scores["pair_accuracy"] == np.mean(right)
    assert {s.name for s in task.possible_scores(examples)} == set(scores)
    beside = {s.name: s.value for s in task.baselines(examples, {"dev": examples}).scores["unigram"]}
    assert beside["pair_log_loss"] == pytest.approx(math.log(2))
    assert beside["pair_accuracy"] == np.mean([kind == FOLLOWS for kind in kinds if kind >= 0])


def test_a_pair_is_scored_with_the_same_bits_alone_and_in_a_batch() -> None:
    task, examples = task_of()
    model = model_of(task)
    together = task.predict(model, task.collate(examples, range(len(examples))), examples)
    assert together == [task.predict(model, task.collate([one], (0,)), [one])[0] for one in examples]


def test_texts_to_fill_are_no_pairs() -> None:
    task, _ = task_of()
    model = model_of(task)
    one = task.example(Record({"text": "a [MASK] row"}, Origin("x", 1)), gold=False)
    (told,) = task.predict(model, task.collate([one], (0,)), [one])
    assert told.pair is None
    assert len(told.guesses) == 1


def test_one_document_rows_by_themselves_and_robertas_pieces_have_no_pairs(tmp_path: Path) -> None:
    task, examples = task_of([line for line in TEXT if line])
    with pytest.raises(DataError, match=r"train: holds no pair; task\.next_sentence needs two documents or more"):
        task.filter(examples, "train")
    task, examples = task_of(["a b c d e f g h", "", "h g f e d c b a"])
    with pytest.raises(DataError, match="of several rows that fit into one sequence"):
        task.filter(examples, "train")
    with pytest.raises(ConfigError, match="next_sentence: needs documents of several rows; set document: file"):
        MaskedLMConfig(next_sentence=True, document="row")
    model = {"type": "BPE", "vocab": {"a": 5}, "merges": []}
    before = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [{"id": k, "content": mark} for k, mark in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])]
    library = {"pre_tokenizer": before, "model": model, "added_tokens": added}
    (tmp_path / "tokenizer.json").write_text(json.dumps(library))
    with pytest.raises(ConfigError, match="next_sentence: RoBERTa's pieces tell no pair"):
        task_of(tokenizer={"name": "pretrained", "folder": str(tmp_path)})

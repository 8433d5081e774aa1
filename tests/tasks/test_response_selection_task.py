"""Response selection, verb by verb: the loss and ranks by hand, what is chosen, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from oracles import retrieval
from recurra.base.contracts import Origin, Prediction, Record
from recurra.base.errors import ConfigError, RunError
from recurra.metrics.tfidf import words_of
from recurra.models import TextDualEncoder
from recurra.tasks import ChatOptions, ResponseSelection, ResponseSelectionConfig
from recurra.tasks.response_selection.task import WEIGHTS, Ranked, best_weight

CPU = torch.device("cpu")


def talks(number: int = 12) -> list[Record]:
    return [
        Record({"said": f"is {k} a number", "answer": f"yes {k} is one", "from": f"part {k}"}, Origin("faq.csv", k + 2))
        for k in range(number)
    ]


def task_for(**options: Any) -> ResponseSelection:
    return ResponseSelectionConfig(turns=("said", "answer"), source="from", **options).fit(talks(), "faq.csv")


def network(task: ResponseSelection, **options: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    inputs, encoder = {"name": "tokens", "embedding_size": 6}, {"name": "recurrent", "hidden_size": 5}
    return TextDualEncoder(task.model_sizes, inputs=inputs, encoder=encoder, embedding_size=4, **options).eval()


def examples(task: ResponseSelection) -> list[Any]:
    return list(task.examples([task.plan.read(one) for one in talks()]))


def answers(task: ResponseSelection, model: torch.nn.Module, rows: list[Any]) -> list[Ranked]:
    with torch.inference_mode():
        return task.predict(model, task.collate(rows, range(len(rows))), rows)


def test_the_loss_is_the_cross_entropy_among_the_replies_of_the_batch_either_way() -> None:
    task = task_for()
    rows = examples(task)[:3]
    batch = task.collate(rows, range(3))
    context, reply = (torch.nn.functional.normalize(torch.randn(3, 4), dim=1) for _ in range(2))
    loss = task.loss(Prediction({"context": context, "reply": reply, "scale": torch.tensor(5.0)}), batch)
    logits = 5.0 * context.double().numpy() @ reply.double().numpy().T
    there = np.log(np.exp(logits).sum(1)) - np.diag(logits)
    back = np.log(np.exp(logits).sum(0)) - np.diag(logits)
    assert loss.count == 3
    assert float(loss.total) == pytest.approx((there.sum() + back.sum()) / 2, rel=1e-5)  # float32


def test_equal_replies_are_right_for_each_other() -> None:
    task = task_for()
    same = [task.plan.read(Record({"said": f"a {k}", "answer": "Yes!", "from": ""}, Origin("f", k))) for k in range(2)]
    batch = task.collate(list(task.training_examples(same)), range(2))
    assert batch.targets["reply"].tolist() == [0, 0]
    vectors = torch.eye(2)
    loss = task.loss(Prediction({"context": vectors, "reply": vectors, "scale": torch.tensor(9.0)}), batch)
    assert float(loss.total) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_a_row_alone_has_the_numbers_that_it_has_in_a_batch(shared: bool) -> None:
    task = task_for()
    model, rows = network(task, shared=shared), examples(task)
    together = answers(task, model, rows)
    for one, beside in zip(rows[:3], together, strict=False):
        (alone,) = answers(task, model, [one])
        np.testing.assert_allclose(alone.vectors, beside.vectors, rtol=1e-5)  # float32: products of other shapes
        assert (alone.words, alone.near, alone.best[0][0]) == (beside.words, beside.near, beside.best[0][0])


def test_sides_that_share_have_one_encoder_and_a_matrix_each() -> None:
    task = task_for()
    sizes = [sum(p.numel() for p in network(task, shared=shared).parameters()) for shared in (True, False)]
    model: Any = network(task)
    assert model.context.encoder is model.reply.encoder
    assert model.context.project is not model.reply.project
    own = sum(p.numel() for part in (model.context.inputs, model.context.encoder) for p in part.parameters())
    assert sizes[1] - sizes[0] == own


def test_what_is_chosen_has_the_greatest_sum_of_cosines() -> None:
    task = task_for(words=2.0)
    model, rows = network(task), examples(task)
    replies = [one.text for one in task.replies_kept.kept]
    contexts = [one.pair.text for one in rows]
    near = retrieval.tfidf([words_of(one) for one in replies], [words_of(one) for one in contexts])
    with torch.inference_mode():
        said = model(task.collate(rows, range(len(rows)))).outputs
    order = [replies.index(one.pair.wanted.text) for one in rows]
    vectors = np.zeros((len(replies), 4))
    vectors[order] = said["reply"].double().numpy()
    scores = said["context"].double().numpy() @ vectors.T + 2.0 * near
    for k, one in enumerate(answers(task, model, rows)):
        assert one.best[0][0] == int(scores[k].argmax())
        assert one.best[0][1] == pytest.approx(scores[k].max(), rel=1e-5)


def test_a_rank_counts_those_that_are_as_good() -> None:
    one = Ranked((0.5, 0.9, 0.5), (0.4, 0.0, 0.1), (), 0.0)
    assert (one.rank(0.0), one.rank(1.0), one.rank(4.0)) == (3, 2, 1)
    assert best_weight([one]) == next(weight for weight in WEIGHTS if one.rank(weight) == 1)
    assert best_weight([]) == 1.0


def test_the_weight_and_the_threshold_are_fitted_to_dev_and_said() -> None:
    task = task_for(refuse=0.25)
    rows = examples(task)
    outputs = answers(task, network(task), rows)
    tuned = task.thresholded(outputs, rows)
    assert tuned.weight == best_weight(outputs)
    assert tuned.threshold == sorted(one.near for one in outputs)[3]
    assert f"weigh {tuned.weight:g} times as much as vectors" in tuned.fitted
    fixed = task_for(words=0.0, refuse=0.0)
    assert (fixed.weight, fixed.tunes) == (0.0, False)


def test_a_chat_gives_the_reply_with_its_source_or_refuses() -> None:
    task = task_for(words=8.0)
    rows = examples(task)
    model = network(task)
    tuned = task.thresholded(answers(task, model, rows), rows)
    (reply,) = tuned.replies(model, ["is 7 a number"], ChatOptions(), CPU)
    assert (reply.text, reply.source, reply.refused) == ("yes 7 is one", "part 7", False)
    (far,) = tuned.replies(model, ["zebras everywhere"], ChatOptions(), CPU)
    assert (far.text, far.refused) == ("I have learned nothing near that.", True)
    (insisted,) = tuned.replies(model, ["zebras everywhere"], ChatOptions(always=True), CPU)
    assert not insisted.refused


def test_a_blank_question_has_an_empty_reply_and_a_note() -> None:
    task = task_for()
    blank = task.example(Record({"said": " "}, Origin("text")), gold=False)
    (found,) = answers(task, network(task), [blank])
    assert (task.answer(blank, found).output, task.answer(blank, found).note) == ("", "blank text")


def test_several_replies_are_listed_best_first() -> None:
    task = task_for()
    wide = task.with_options({"n_best": 3})
    one = wide.example(Record({"said": "is 3 a number"}, Origin("text")), gold=False)
    (found,) = answers(wide, network(task), [one])
    listed = wide.answer(one, found).n_best
    assert listed is not None
    assert len(listed) == 3
    assert [c.score for c in listed] == sorted((c.score for c in listed), reverse=True)
    with pytest.raises(ConfigError, match="n_best: expected a whole number from 1 to 100, got 0"):
        task.with_options({"n_best": 0})
    with pytest.raises(ConfigError, match="beam: has no effect, because a response selection has no such option"):
        task.with_options({"beam": 2})


def test_vectors_are_made_again_when_weights_have_changed() -> None:
    task = task_for(words=0.0)
    model, rows = network(task), examples(task)
    before = answers(task, model, rows)
    made = task.replies_kept.vectors(model, lambda texts: pytest.fail("made twice"))
    with torch.no_grad():
        for one in model.parameters():
            one.add_(torch.randn_like(one))
    after = answers(task, model, rows)
    assert before[0].best != after[0].best
    assert not np.allclose(made, task.replies_kept.vectors(model, lambda texts: pytest.fail("made twice")))


def test_scores_have_their_names_and_the_values_of_saying_the_same_of_all() -> None:
    task = task_for()
    rows = examples(task)
    names = ["recall_at_1", "recall_at_5", "vector_recall_at_1", "vector_recall_at_5"]
    found = task.score(answers(task, network(task), rows), rows, "test")
    assert [one.name for one in found] == names
    assert {(one.name, one.value) for one in task.possible_scores(rows)} == {(name, 0.0) for name in names}
    assert [t.caption for t in task.tables(answers(task, network(task), rows), rows)] == [
        "What the scores are",
        "Replies",
    ]


def test_what_is_left_out_is_said() -> None:
    task = task_for(kept=5, max_reply_tokens=3)
    rows = list(task.training_examples([task.plan.read(one) for one in talks()]))
    _, said = task.filter(rows, "train")
    assert said == (
        "train: of 12 of 12 replies the first 3 tokens are read (task.max_reply_tokens); the first: faq.csv:2.",
        "train: 5 of 12 different replies can be chosen; raise task.kept for more.",
    )
    with pytest.raises(ConfigError, match="dev: has 4 replies, and of each the right one is looked for among ten"):
        task.filter(list(task.examples([task.plan.read(one) for one in talks(4)])), "dev")


def test_batches_that_are_added_up_are_refused() -> None:
    with pytest.raises(ConfigError, match="accumulate: a pair is contrasted with the others of its batch"):
        task_for().plan.refuse_training({"accumulate": 2})


def test_a_run_folder_restores_the_task() -> None:
    task = task_for()
    data = json.loads(json.dumps(task.to_json()))
    assert task.plan.restore(data, "run").to_json() == task.to_json()
    for broken in ({}, {**data, "replies": [["a"]]}, {**data, "replies": []}, {**data, "words": math.inf}):
        with pytest.raises(RunError, match="run: expected"):
            task.plan.restore(broken, "run")

"""Dialogue, verb by verb: what conversations are in files, contexts and replies by hand, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any, cast

import pytest
import torch

from oracles import retrieval
from recurra.base.contracts import Batch, Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.tokenizers import BOS, EOS
from recurra.metrics.tfidf import words_of
from recurra.models import DecoderOnly, EncoderDecoder
from recurra.tasks import Dialogue, DialogueConfig
from recurra.tasks.dialogue.exchanges import Exchange, with_others
from recurra.tasks.dialogue.turns import Conversation
from recurra.tasks.options import for_validation

TALK = ["hi there", "hello", "how are you", "fine thanks", "good"]


def record(value: Any, number: int = 1, **more: Any) -> Record:
    return Record({"turns": value, **more}, Origin("chat.jsonl", number))


def read(value: Any, options: dict[str, Any] | None = None, **more: Any) -> Conversation:
    return DialogueConfig(**(options or {})).read(record(value, **more))


def talks(number: int = 12) -> list[Record]:
    return [record([f"is {k} a number", f"yes {k} is one", f"and {k} plus one"], k + 1) for k in range(number)]


def task_for(records: list[Record] | None = None, **options: Any) -> Dialogue:
    return DialogueConfig(**options).fit(records or talks(), "chat.jsonl")


RECURRENT = {
    "encoder": {"name": "recurrent", "hidden_size": 6},
    "decoder": {"name": "recurrent", "embedding_size": 5},
}
BLIND = {
    "encoder": {"name": "recurrent", "hidden_size": 6},
    "decoder": {"name": "recurrent", "embedding_size": 5, "attention": {"name": "none"}},
}
TRANSFORMER = {
    "encoder": {"name": "transformer", "hidden_size": 4, "num_heads": 2, "num_layers": 1},
    "decoder": {"name": "transformer", "num_heads": 2, "num_layers": 1},
}
LANGUAGE_MODEL = {"encoder": {"name": "recurrent", "hidden_size": 4}}


def network(task: Dialogue, parts: dict[str, Any] = RECURRENT) -> torch.nn.Module:
    torch.manual_seed(0)
    made = EncoderDecoder if "decoder" in parts else DecoderOnly
    return made(task.model_sizes, inputs={"name": "tokens", "embedding_size": 4}, **parts).eval()


def test_a_reply_is_learned_from_the_last_turns_with_an_end_between_two() -> None:
    task = task_for([record(TALK), *talks()], context=2)
    found = list(task.training_examples([task.plan.read(record(TALK))]))
    assert [(one.pair.text, one.pair.wanted.text) for one in found if one.pair.wanted] == [
        ("hi there", "hello"),
        ("hi there\nhello", "how are you"),
        ("hello\nhow are you", "fine thanks"),
        ("how are you\nfine thanks", "good"),
    ]
    assert found[2].pair.encoded.tokens == ("hello", "<eos>", "how", "are", "you")
    assert found[2].last == "how are you"


def test_a_context_keeps_its_last_tokens() -> None:
    task = task_for([record(TALK), *talks()], max_context_tokens=3)
    assert task.example(record(TALK)).pair.encoded.tokens == ("<eos>", "fine", "thanks")


def test_messages_alternate_by_role_and_an_instruction_stands_before_every_context() -> None:
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "are you there"}, {"type": "image_url"}]},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "good"},
        {"role": "assistant", "content": "indeed"},
    ]
    row = read(messages, {"replies_of": "assistant"})
    assert (row.instruction, row.turns) == ("be kind", ("hi\nare you there", "yes", "good", "indeed"))
    task = DialogueConfig(replies_of="assistant", context=1).fit([record(messages)], "chat.jsonl")
    found = [one.pair for one in task.training_examples([row])]
    assert [(one.text, one.wanted.text) for one in found if one.wanted] == [
        ("be kind\nhi\nare you there", "yes"),
        ("be kind\ngood", "indeed"),
    ]


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ('["a", "b"]', {}),
        ("a __eou__ b __eou__", {"separator": "__eou__"}),
        ([{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], {}),
        ([{"speaker": "x", "text": "a"}, {"speaker": "y", "text": "b"}], {}),
    ],
)
def test_turns_are_read_in_the_forms_that_files_have(value: Any, options: dict[str, Any]) -> None:
    assert read(value, options).turns == ("a", "b")


def test_several_columns_are_a_turn_each() -> None:
    fields = Record({"question": "a", "answer": "b"}, Origin("faq.csv", 2))
    assert DialogueConfig(turns=("question", "answer")).read(fields).turns == ("a", "b")


@pytest.mark.parametrize(
    ("value", "options", "said"),
    [
        (["a", " ", "c"], {}, r"chat\.jsonl:1: turn 2 of 3 is empty, expected text"),
        (["a"] * 1001, {}, r"chat\.jsonl:1: has 1,001 turns, expected 1,000 at most.*task\.max_turns"),
        (["a"], {}, r"chat\.jsonl:1: has 1 turn, expected two at least"),
        (
            [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
            {},
            r"chat\.jsonl:1: has one speaker only, 'user', in 2 turns, and nobody replies",
        ),
        ("hello", {}, r"chat\.jsonl:1: column 'turns' holds one text, \"hello\", expected turns"),
        ([1, 2], {}, r"chat\.jsonl:1: column 'turns' holds 1, expected a turn: a text, or a message"),
        (None, {}, r"chat\.jsonl:1: column 'turns' holds null, expected a list of turns"),
        ("[" * 100_000, {}, r"chat\.jsonl:1: column 'turns' holds one text"),  # deeper than json reads
    ],
)
def test_what_is_no_conversation_is_refused_by_its_place(value: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(value, options)


def test_a_turn_that_has_a_row_of_its_own_is_refused_at_that_row() -> None:
    steps = tuple(Origin("chat.csv", n) for n in (2, 3, 9))
    one = Record({"text": ["a", "b", ""], "who": ["x", "y", "x"]}, steps[0], steps)
    with pytest.raises(DataError, match=r"chat\.csv:9: turn 3 of 3 is empty"):
        DialogueConfig(turns="text", speaker="who").read(one)
    short = Record({"text": ["a", "b"], "who": ["x"]}, steps[0], steps[:2])
    with pytest.raises(
        DataError, match=r"chat\.csv:2: column 'who' holds 1 speakers, expected a list with one for each"
    ):
        DialogueConfig(turns="text", speaker="who").read(short)


def test_a_speaker_that_nobody_has_is_named_with_those_that_there_are() -> None:
    with pytest.raises(DataError, match=r"no reply is of task\.replies_of: bot\. Speakers: ''"):
        task_for(replies_of="bot")


def test_a_conversation_without_a_reply_of_that_speaker_is_no_example() -> None:
    talk = [{"role": "user", "content": "hi"}, {"role": "bot", "content": "hello"}]
    task = task_for([record(talk)], replies_of="bot")
    with pytest.raises(DataError, match=r"chat\.jsonl:1: has no reply of task\.replies_of: bot"):
        task.example(record([talk[0], {"role": "guest", "content": "hello"}]))


def test_options_that_cannot_act_are_refused() -> None:
    with pytest.raises(ConfigError, match="separator: has no effect where each turn has a column"):
        DialogueConfig(turns=("a", "b"), separator="|||")
    with pytest.raises(ConfigError, match="speaker: is 'turns', a column of turns too"):
        DialogueConfig(speaker="turns")


def test_conversations_of_one_name_stay_together_and_one_in_two_splits_is_said() -> None:
    named = DialogueConfig(conversation="id")
    rows = [record([f"a {k}", f"b {k}", f"c {k}"], k + 1, id=f"t{k}") for k in range(3)]
    assert named.read(rows[1]).key == "t1"
    task = named.fit(rows, "chat.jsonl")
    read_rows = [named.read(one) for one in rows]
    assert task.filter(list(task.training_examples(read_rows)), "train")[1] == ()
    other = named.read(record(["x", "y"], 7, id="t2"))
    _, said = task.filter(list(task.examples([other])), "dev")
    assert said == (
        "leak: 1 of 1 conversations of dev stands in train too (first: chat.jsonl:7 is chat.jsonl:3), so the dev "
        "scores are too good.",
    )


def test_long_replies_are_left_out_of_training_with_the_first_named() -> None:
    task = task_for(max_reply_tokens=3)
    rows = list(task.training_examples([task.plan.read(one) for one in talks(2)]))
    kept, said = task.filter(rows, "train")
    assert (len(kept), len(rows)) == (0, 4)
    assert "4 of 4 replies were left out, because they are longer than max_reply_tokens 3" in said[0]


def test_others_are_replies_to_other_rows_and_depend_on_the_rows_alone() -> None:
    task = task_for()
    rows = list(task.training_examples([task.plan.read(one) for one in talks()]))
    found = with_others(rows)
    for one in found:
        texts = [other.text for other in one.others]
        assert len(set(texts)) == 9
        assert one.pair.wanted is not None
        assert one.pair.wanted.text not in texts
    assert found == list(task.examples([task.plan.read(one) for one in talks()]))
    assert not any(one.others for one in with_others(rows[:6]))  # fewer than ten different replies


def answers(task: Dialogue, model: torch.nn.Module, rows: list[Exchange]) -> list[Any]:
    with torch.inference_mode():
        return task.predict(model, task.collate(rows, range(len(rows))), rows)


@pytest.mark.parametrize(
    "parts",
    [BLIND, TRANSFORMER, LANGUAGE_MODEL, RECURRENT],
    ids=["blind", "transformer", "language_model", "recurrent"],
)
def test_a_row_alone_is_answered_as_in_a_batch(parts: dict[str, Any]) -> None:
    """To the bit, but for attention of recurrent decoders, whose sums have the order that the padding gives."""
    task = task_for()
    model, rows = network(task, parts), list(task.examples([task.plan.read(one) for one in talks()]))
    for one, beside in zip(rows[:4], answers(task, model, rows), strict=False):
        (alone,) = answers(task, model, [one])
        assert (alone.candidates[0].tokens, alone.rank, alone.near) == (
            beside.candidates[0].tokens,
            beside.rank,
            beside.near,
        )
        if parts is RECURRENT:
            assert alone.forced is not None
            assert beside.forced is not None
            assert alone.forced.nats == pytest.approx(beside.forced.nats, rel=1e-6)
        else:
            assert alone.forced == beside.forced


def test_ranks_are_those_of_the_mean_log_probability_of_each_candidate() -> None:
    task = task_for()
    model, rows = network(task), list(task.examples([task.plan.read(one) for one in talks()]))
    example = rows[3]
    assert example.pair.wanted is not None
    means = []
    for one in (example.pair.wanted, *example.others):  # one by one, from the outputs of the network
        ids = [*one.encoded.ids.tolist()]
        batch = Batch(
            {
                "tokens": torch.from_numpy(example.pair.encoded.ids.astype("int64")).unsqueeze(1),
                "target": torch.tensor([[BOS], *[[n] for n in ids]]),
                "target_lengths": torch.tensor([len(ids) + 1]),
            },
            torch.tensor([len(example.pair.encoded)]),
            {},
            (0,),
        )
        with torch.no_grad():
            out = model(batch).outputs
        logits = (out["hidden"][:, 0] @ out["weight"].T + out["bias"]).detach().double()
        log_probs = logits - logits.logsumexp(1, keepdim=True)
        means.append(sum(float(log_probs[k, n]) for k, n in enumerate([*ids, EOS])) / (len(ids) + 1))
    right, *others = means
    assert answers(task, model, rows)[3].rank == 1 + sum(other >= right for other in others)


def test_scores_have_the_names_that_a_page_explains() -> None:
    task = task_for()
    rows = list(task.examples([task.plan.read(one) for one in talks()]))
    outputs = answers(task, network(task), rows)
    names = [score.name for score in task.score(outputs, rows, "test")]
    assert names == [
        "token_accuracy",
        "perplexity",
        "log_loss",
        "recall_at_1",
        "recall_at_5",
        "distinct_1",
        "distinct_2",
        "length_ratio",
        "dull_share",
    ]
    cheap = for_validation(task)
    judged = [score.name for score in cheap.score(answers(cheap, network(task), rows), rows, "dev")]  # type: ignore[arg-type]
    assert judged == names[:3] == [score.name for score in task.possible_scores(rows)]
    assert {score.name for score in task.baselines(rows, {"test": rows}).scores["tfidf"]} == {
        "recall_at_1",
        "recall_at_5",
    }
    assert [table.caption for table in task.tables(outputs, rows)] == ["What the scores are", "Replies"]


def test_the_baseline_ranks_replies_by_the_cosine_of_words() -> None:
    task = task_for()
    rows = list(task.examples([task.plan.read(one) for one in talks()]))
    found = {score.name: score.value for score in task.baselines(rows, {"test": rows}).scores["tfidf"]}
    replies = [one.pair.wanted.text for one in rows if one.pair.wanted]
    near = retrieval.tfidf([words_of(one) for one in replies], [words_of(one.pair.text) for one in rows])
    first = 0
    for k, one in enumerate(rows):
        others = [near[k, replies.index(other.text)] for other in one.others]
        first += all(other < near[k, k] for other in others)
    assert found["recall_at_1"] == first / len(rows) > 0.8  # each conversation is about a number of its own


def test_the_threshold_is_the_nearness_under_which_the_named_share_of_dev_is() -> None:
    task = task_for(refuse=0.25)
    rows = list(task.examples([task.plan.read(one) for one in talks()]))
    outputs = answers(task, network(task), rows)
    tuned = task.thresholded(outputs, rows)
    near = sorted(one.near for one in outputs)
    assert tuned.reading.threshold == near[int(0.25 * len(near))]
    blank = tuned.example(record("zebras everywhere"), gold=False)
    said = tuned.answer(blank, answers(tuned, network(task), [blank])[0])
    assert said.note is not None
    assert said.note.startswith("nothing near was learned: nearness 0.000, under the threshold")
    known = tuned.example(record(["is 3 a number"]), gold=False)
    assert tuned.answer(known, answers(tuned, network(task), [known])[0]).note is None
    assert not task_for(refuse=0.0).tunes
    none = task.thresholded([], [])  # no row of dev has nine other replies beside its own
    assert none.threshold is None
    assert none.fitted.startswith("none, so everything is answered: dev has fewer than ten different replies")


def test_a_run_folder_restores_the_task() -> None:
    task = task_for()
    data = json.loads(json.dumps(task.to_json()))
    other = task.plan.restore(data, "run")
    assert other.to_json() == task.to_json()
    for broken in ({}, {**data, "known": [1]}, {**data, "threshold": math.nan}):
        with pytest.raises(RunError, match="run: expected"):
            task.plan.restore(broken, "run")


def test_examples_become_plain_values_and_come_back() -> None:
    task = task_for()
    for one in task.examples([task.plan.read(one) for one in talks()]):
        again = task.example_codec.from_plain(task.example_codec.to_plain(one), one.origin)
        assert (again, again.digest(), again.others) == (one, one.digest(), one.others)


def test_a_reply_never_has_so_many_tokens_twice_nor_an_unknown_one() -> None:
    task = task_for(no_repeat_ngram=1, max_reply_tokens=30)
    example = task.example(record(["is 3 a number"]), gold=False)
    words = answers(task, network(task), [example])[0].candidates[0].tokens
    assert len(words) == len(set(words)) <= 30
    assert "<unk>" not in words


def test_replies_of_a_language_model_are_cut_where_the_positions_end_each_behind_its_own_context() -> None:
    task = task_for()
    encoder = {"name": "transformer", "hidden_size": 4, "num_heads": 2, "num_layers": 1, "causal": True,
               "positions": "learned", "max_positions": 16}  # fmt: skip
    model = network(task, {"encoder": encoder})
    with torch.no_grad():
        cast(Any, model).network.head.output.bias[EOS] = -50.0
    rows = [task.example(record(turns), gold=False) for turns in (["is 3"], ["is 3 a number", "yes 3 is one"])]
    batch = task.collate(rows, range(2))
    assert len(set(batch.lengths.tolist())) == 2
    replies = task.replying.run(cast(Any, model), batch, ["a", "b"])
    assert [len(reply[0].tokens) for reply in replies] == (16 - batch.lengths).tolist()

"""Every default written out, or every mistake at once with its line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from config.config_room import GOOD, MODELS, OPTIMIZERS, SCHEMA, Classifier, Loop, Tiny, classification, sgd
from recurra.base.errors import ConfigError, ShapeError
from recurra.base.option import Opt
from recurra.config import Check, Fixed, Schema, build, options_of, override, parse, resolve
from recurra.config.values import MisfitError, fit


def mistakes(text: str, settings: tuple[str, ...] = (), checks: tuple[Check, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        resolve(override(parse(text, "c.yaml"), settings), SCHEMA, checks)
    return list(refused.value.problems)


def resolved(text: str, *settings: str) -> Any:
    return resolve(override(parse(text, "c.yaml"), settings), SCHEMA).tree


def test_the_options_are_the_noted_keyword_only_parameters_in_order() -> None:
    assert [o.name for o in options_of(Classifier)] == [
        "cell", "hidden_size", "layers", "dropout", "bidirectional", "pooling",
    ]  # fmt: skip
    assert [o.name for o in options_of(Loop)] == ["epochs", "optimizer", "second", "clip", "patience"]
    assert [o.required for o in options_of(classification)] == [True, False, False, False]
    assert options_of(Tiny) == ()


def test_the_options_of_a_constructor_are_read_once() -> None:
    assert options_of(Classifier) is options_of(Classifier)


def test_a_note_with_an_alias_is_an_option_and_one_that_cannot_be_read_is_the_authors_mistake() -> None:
    def wrong(*, size: Annotated[int, Missing("size")] = 0) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert [o.name for o in options_of(sgd)] == ["lr", "momentum", "nesterov"]
    with pytest.raises(NameError, match="Missing"):
        options_of(wrong)


def test_every_default_is_written_out() -> None:
    assert resolved(GOOD) == {
        "task": {"name": "classification", "text": "t", "labels": (), "weights": None, "metrics": ["accuracy"]},
        "model": {
            "name": "classifier", "cell": "lstm", "hidden_size": 128, "layers": 1, "dropout": 0.0,
            "bidirectional": True, "pooling": "mean",
        },
        "training": {
            "epochs": 10, "optimizer": {"name": "adam", "lr": 0.001, "betas": (0.9, 0.999)}, "second": None,
            "clip": 1.0, "patience": "auto",
        },
    }  # fmt: skip


def test_of_many_unknown_keys_the_first_are_named() -> None:
    with pytest.raises(ConfigError) as refused:
        resolved(GOOD + "".join(f"k{n}: 1\n" for n in range(1000)))
    said = refused.value.problems
    assert len(said) == 11
    assert all(f": k{n}: unknown section." in said[n] for n in range(10))
    assert said[10].endswith("k10: the first of 990 more that are not known.")


def test_short_forms_long_forms_and_options_without_a_word() -> None:
    assert resolved(GOOD + "model: tiny")["model"] == {"name": "tiny"}
    assert resolved(GOOD + "model:")["model"]["name"] == "classifier"
    assert resolved(GOOD + "training:\n  optimizer: sgd")["training"]["optimizer"]["lr"] == 0.1
    assert resolved(GOOD + "training: {optimizer: {lr: 0.5}}")["training"]["optimizer"]["name"] == "adam"
    nested = resolved(GOOD, "training.optimizer=sgd", "training.optimizer.momentum=0.9", "training.second=adam")[
        "training"
    ]
    assert nested["optimizer"] == {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": False}
    assert nested["second"]["name"] == "adam"


@pytest.mark.parametrize(
    ("setting", "section", "option", "value"),
    [
        ("model.dropout=0", "model", "dropout", 0.0),
        ("model.bidirectional=no", "model", "bidirectional", False),
        ("model.bidirectional=On", "model", "bidirectional", True),
        ("training.clip=null", "training", "clip", None),
        ("training.clip=1e-4", "training", "clip", 1e-4),
        ("training.patience=3", "training", "patience", 3),
        ("task.text=no", "task", "text", "no"),
        ("task.labels=[no, yes, '1']", "task", "labels", ("no", "yes", "1")),
        ("task.weights={0: 1, no: 2.5}", "task", "weights", {"0": 1.0, "no": 2.5}),
        ("task.metrics=[f1]", "task", "metrics", ["f1"]),
    ],
)
def test_values_take_the_kind_of_their_option(setting: str, section: str, option: str, value: object) -> None:
    got = resolved(GOOD, setting)[section][option]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.hidden_size=1e3", "model.hidden_size: expected an integer >= 1, got 1000.0. Write 1000."),
        ("model.hidden_size=1_000", "model.hidden_size: expected an integer >= 1, got '1_000'. Write 1000."),
        ("model.hidden_size=true", "model.hidden_size: expected an integer >= 1, got true."),
        ("model.hidden_size=0", "model.hidden_size: expected an integer >= 1, got 0."),
        ("model.hidden_size=null", "model.hidden_size: expected an integer >= 1, got null."),
        ("training.epochs=1001", "training.epochs: expected an integer >= 1 and <= 1000, got 1001."),
        ("model.dropout=1", "model.dropout: expected a number >= 0 and < 1, got 1."),
        ("model.dropout=.nan", "model.dropout: expected a number >= 0 and < 1, got nan. A setting is a finite number."),
        ("training.clip=.inf", "training.clip: expected a number > 0 or null, got inf. A setting is a finite number."),
        ("training.clip=false", "training.clip: expected a number > 0 or null, got false."),
        ("training.clip=0", "training.clip: expected a number > 0 or null, got 0."),
        ("training.patience=atuo",
         "training.patience: expected an integer >= 1 or auto, got 'atuo'. Did you mean 'auto'?"),
        ("model.bidirectional=1", "model.bidirectional: expected true or false, got 1."),
        ("model.pooling=mex", "model.pooling: expected one of last, mean, max, got 'mex'. Did you mean 'max'?"),
        ("model.cell=lsmt",
         "model.cell: unknown cell 'lsmt'. Did you mean 'lstm'? `recurra explain model.cell` lists all."),
        ("model.cell=xy",
         "model.cell: unknown cell 'xy'. Known: lstm, gru, rnn. `recurra explain model.cell` lists all."),
        ("task.text=12", "task.text: expected text, got 12. To mean the text, put it in quotes: \"12\"."),
        ("task.labels=[a, 1]",
         "task.labels: expected a list of text, item 2 is 1. To mean the text, put it in quotes: \"1\"."),
        ("task.labels=a", "task.labels: expected a list of text, got 'a'. Write [a]."),
        ("task.weights={a: -1}", "task.weights: expected a map of text to numbers > 0 or null, 'a' is -1."),
        ("task.weights=[1]",
         "task.weights: expected a map of text to numbers > 0 or null, got [1]. Write {word: value, ...}."),
        ("task.metrics=[acuracy]", "task.metrics: unknown word 'acuracy'. Did you mean 'accuracy'?"),
        ("training.optimizer.betas=[0.9]", "training.optimizer.betas: expected a list of 2: number >= 0 and < 1, "
                                           "number >= 0 and < 1, got 1 items."),
        ("model=7", "model: expected one of classifier, tiny, got 7."),
        ("model=clasifier",
         "model: unknown model 'clasifier'. Did you mean 'classifier'? `recurra explain model` lists all."),
        ("training.optimizer=adm",
         "training.optimizer: unknown optimizer 'adm'. Did you mean 'adam'? "
         "`recurra explain training.optimizer` lists all."),
        ("training=fast", "training: expected options, one per line below it, got 'fast'."),
        ("training.optimizer.name=7", "training.optimizer.name: expected one of sgd, adam, got 7."),
        ("model.hiden_size=1", "model.hiden_size: unknown option. Did you mean 'hidden_size'?"),
        ("model.lr=1", "model.lr: unknown option. It belongs at 'training.optimizer.lr' or 'training.second.lr'."),
        ("model.device=cpu",
         "model.device: unknown option. Known: cell, hidden_size, layers, dropout, bidirectional, pooling."),
        ("training.learning_rate=1",
         "training.learning_rate: unknown option. Here it is called 'training.optimizer.lr' or 'training.second.lr'."),
        ("training.Num-Epochs=1", "training.Num-Epochs: unknown option. Here it is called 'epochs'."),
        ("model.hidden_dim=1", "model.hidden_dim: unknown option. Here it is called 'hidden_size'."),
        ("model.dropout_rate=1", "model.dropout_rate: unknown option. Here it is called 'dropout'."),
        (
            "learning_rate=1",
            "learning_rate: unknown section. Here it is called 'training.optimizer.lr' or 'training.second.lr'.",
        ),
        ("optimizer=sgd", "optimizer: unknown section. It belongs at 'training.optimizer'."),
        ("modle=tiny", "modle: unknown section. Did you mean 'model'?"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_the_expected_the_got_and_the_next_step(setting: str, message: str) -> None:
    assert mistakes(GOOD, (setting,)) == [f"--set {message}"]


def test_a_key_too_long_for_yaml_is_refused() -> None:
    sentence = "expected a map of text to numbers > 0 or null, got a word of more than 100 characters."
    assert mistakes(GOOD, (f"task.weights={{{'x' * 101}: 1}}",)) == [f"--set task.weights: {sentence}"]


def test_true_is_not_the_number_one() -> None:
    assert fit(Literal[1, "a"], Opt(""), 1) == 1
    with pytest.raises(MisfitError, match="got true"):
        fit(Literal[1, "a"], Opt(""), True)


def test_an_option_of_a_component_without_options_is_refused() -> None:
    assert mistakes(GOOD + "model: {name: tiny, x: 1}") == [
        "c.yaml:2: model.x: unknown option. There are no options here."
    ]


def test_what_is_required_and_missing_is_named_with_its_meaning() -> None:
    assert mistakes("model: tiny") == ["c.yaml: task: missing; expected classification: what to learn."]
    assert mistakes("\ntask: classification") == [
        "c.yaml:2: task.text: missing; expected text: column that holds the text."
    ]


FIVE = """\
task: {name: classification}
model:
  cell: lsmt
  hiden_size: 5
  dropout: 1.5
training:
  epochs: 3
  clip: yes
  epochs: 4
"""


def test_all_mistakes_are_named_at_once_in_the_order_of_their_lines() -> None:
    assert mistakes(FIVE, ("training.patience=0",)) == [
        "c.yaml:1: task.text: missing; expected text: column that holds the text.",
        "c.yaml:3: model.cell: unknown cell 'lsmt'. Did you mean 'lstm'? `recurra explain model.cell` lists all.",
        "c.yaml:4: model.hiden_size: unknown option. Did you mean 'hidden_size'?",
        "c.yaml:5: model.dropout: expected a number >= 0 and < 1, got 1.5.",
        "c.yaml:8: training.clip: expected a number > 0 or null, got 'yes'.",
        "c.yaml:9: training.epochs: given twice; first in line 7. Remove one.",
        "--set training.patience: expected an integer >= 1 or auto, got 0.",
    ]


MODEL_CHECK = Check(("model",), lambda r: build(r.section("model"), MODELS, 10))
LOOP_CHECK = Check(("training",), lambda r: build(build(r.section("training"), Loop).optimizer, OPTIMIZERS, []))


def test_checks_put_a_combination_that_cannot_work_at_its_own_line() -> None:
    text = GOOD + "model:\n  layers: 1\n  dropout: 0.5\ntraining:\n  clip: 0\n"
    assert mistakes(text, (), (MODEL_CHECK, LOOP_CHECK)) == [
        "c.yaml:4: model.dropout: has no effect with one layer. Set layers: 2, or dropout: 0.",
        "c.yaml:6: training.clip: expected a number > 0 or null, got 0.",
    ]


def test_checks_reach_into_a_component_of_a_component() -> None:
    text = GOOD + "training:\n  optimizer:\n    name: sgd\n    nesterov: true\n"
    expected = "training.optimizer.nesterov: has no effect without momentum. Set momentum, or leave nesterov out."
    assert mistakes(text, (), (LOOP_CHECK,)) == [f"c.yaml:5: {expected}"]
    assert mistakes(GOOD, ("training.optimizer={name: sgd, nesterov: on}",), (LOOP_CHECK,)) == [f"--set {expected}"]


def test_a_check_does_not_run_on_a_section_that_is_wrong_already() -> None:
    never = Check(("task", "model"), lambda r: 1 / 0)
    assert len(mistakes(GOOD + "model: {cell: 7}", (), (never,))) == 1


def test_a_message_about_no_option_stands_at_the_section() -> None:
    def refuse(_: object) -> None:
        raise ConfigError(["too large for this machine.", "epochs: too many.", "epochs=9 is odd.", "other=1 is odd."])

    checks = (Check(("training",), refuse),)
    assert mistakes(GOOD + "training:\n  epochs: 9", (), checks) == [
        "c.yaml:2: training: too large for this machine.",
        "c.yaml:2: training: other=1 is odd.",
        "c.yaml:3: training.epochs: too many.",
        "c.yaml:3: training.epochs: epochs=9 is odd.",
    ]


def test_a_message_does_not_repeat_the_word_of_its_component() -> None:
    def refuse(_: object) -> None:
        raise ValueError("tiny: no.")

    assert mistakes(GOOD + "model: tiny", (), (Check(("model",), refuse),)) == ["c.yaml:2: model: no."]


def test_build_hands_over_options_positions_and_what_the_caller_gives() -> None:
    config = resolve(parse(GOOD + "model: {hidden_size: 8, bidirectional: off}"), SCHEMA)
    model = build(config.section("model"), MODELS, 50, device="cpu")
    assert model.given == (50, "lstm", 8, 1, 0.0, False, "mean", "cpu")
    loop = build(config.section("training"), Loop)
    assert loop.epochs == 10
    assert build(loop.optimizer, OPTIMIZERS, ["w"]) == ("adam", ["w"], 0.001, (0.9, 0.999))
    assert build("sgd", OPTIMIZERS, ["w"]) == ("sgd", ["w"], 0.1, 0.0, False)
    assert build({"name": "sgd", "lr": 2.0}, OPTIMIZERS, []) == ("sgd", [], 2.0, 0.0, False)
    assert build({"epochs": 3}, Loop).epochs == 3


def test_a_map_option_with_a_key_called_name_is_no_component() -> None:
    config = resolve(parse("task: {name: classification, text: t, weights: {name: 2}}"), SCHEMA)
    assert build(config.section("task"), {"classification": classification})[2] == {"name": 2.0}


def test_build_puts_the_place_in_front_of_a_refusal_and_leaves_other_errors_alone() -> None:
    config = resolve(parse(GOOD + "model: {dropout: 0.5}", "c.yaml"), SCHEMA)
    with pytest.raises(ConfigError, match=r"^c\.yaml:2: model\.dropout: has no effect with one layer"):
        build(config.section("model"), MODELS, 50)

    def broken() -> None:
        raise ShapeError("h0 has shape (1,)")

    with pytest.raises(ShapeError, match=r"^h0 has shape"):
        build(config.section("training"), lambda **_: broken())


def test_a_default_that_breaks_its_own_note_is_the_authors_mistake() -> None:
    def wrong(*, size: Annotated[int, Opt("size", ge=1)] = 0) -> None: ...

    with pytest.raises(TypeError, match="default of 'size' does not fit its own note: got 0"):
        resolve(parse("s: {}"), Schema("", {"s": Fixed("", wrong)}))


def test_a_kind_outside_the_closed_list_is_the_authors_mistake() -> None:
    def wrong(*, size: Annotated[complex, Opt("size")] = 0j) -> None: ...

    with pytest.raises(TypeError, match="cannot be of kind"):
        resolve(parse("s: {}"), Schema("", {"s": Fixed("", wrong)}))


def test_a_name_out_of_the_data_is_read_in_any_spelling_and_a_path_as_it_is() -> None:
    named, plain = Opt("a column", named=True), Opt("a path")
    assert fit(str, named, "cafe\u0301") == fit(str | None, named, "\ufeffcaf\u00e9 ") == "caf\u00e9"
    assert fit(tuple[str, ...], named, ["cafe\u0301"]) == ("caf\u00e9",)
    assert fit(str, plain, "cafe\u0301") == "cafe\u0301"

"""Classifiers, taggers and translators as ONNX files: they answer as the model, whatever stands in the padding."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.onnx_room import File, exported
from models.models_room import chords, classifier, language_model, tagger
from models.seq2seq_room import COPIES, SOURCES, V, batch, padded, small
from models.test_pretrained import made
from oracles.loop import Array
from published_room import folder
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError, RunError
from recurra.data.tokenizers import BOS, EOS
from recurra.decode import greedy
from recurra.export import attending_decoder, encoder_decoder, onnx, recurrent_decoder
from recurra.models import EncoderDecoder, SequenceModel
from recurra.nn import POOLS, softmax_log_probabilities
from recurra.nn.transformer import TransformerEncoderLayer

ROWS = ([5, 7, 9, 4, 6], [8], [], [10, 4])
LENGTHS = np.array([5, 1, 0, 2])
GARBAGE = 10**12  # no number of a token


def tokens_of(rows: Any = ROWS, padding: int = GARBAGE) -> Array:
    found: Array = padded(rows, padding).numpy()
    return found


def as_batch(inputs: dict[str, Array]) -> Batch:
    """What a model takes, with zeros where the file was given garbage."""
    tensors = {name: torch.from_numpy(np.where(array == GARBAGE, 0, array)) for name, array in inputs.items()}
    return Batch(tensors, tensors["lengths"], {}, ())


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
@pytest.mark.parametrize("embedding_size", [3, "one_hot"])
@pytest.mark.parametrize("pooling", POOLS)
def test_a_classifier_answers_as_the_model_and_notices_no_padding(
    pooling: str, embedding_size: Any, bidirectional: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = classifier(
        11, 3, embedding_size=embedding_size, hidden_size=4, pooling=pooling, bidirectional=bidirectional
    ).eval()
    file = exported(model, tmp_path / "c.onnx")
    inputs = {"tokens": tokens_of(), "lengths": LENGTHS}
    got = file(**inputs)["logits"]
    with torch.no_grad():
        expected = model(as_batch(inputs)).outputs["logits"].numpy()
    np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)
    for n, row in enumerate(ROWS):
        alone = file(tokens=tokens_of([row]), lengths=LENGTHS[n : n + 1])["logits"]
        np.testing.assert_allclose(alone[0], got[n], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru_simple", "num_layers": 2, "merge": "product"},
        {"cell": "lstm_projected", "proj_size": 2, "bidirectional": False},
        {"cell": "lstm", "zoneout": 0.3},
        {"cell": "slstm", "merge": "mean"},
    ],
    ids=str,
)
def test_options_of_a_classifier_take_effect(options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = classifier(11, 3, embedding_size=3, hidden_size=4, **options).eval()
    inputs = {"tokens": tokens_of(), "lengths": LENGTHS}
    with torch.no_grad():
        expected = model(as_batch(inputs)).outputs["logits"].numpy()
    got = exported(model, tmp_path / "c.onnx")(**inputs)["logits"]
    np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("output", ["crf", "softmax"])
@pytest.mark.parametrize("characters", ["none", "lstm", "cnn"])
def test_a_tagger_gives_scores_of_labels_and_of_pairs(characters: str, output: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {"embedding_size": 3, "hidden_size": 4, "characters": characters, "output": output}
    model = tagger(11, 6, 5, **options).eval()
    if model.head.crf is not None:
        for scores in model.head.crf.parameters():
            torch.nn.init.normal_(scores)
    file = exported(model, tmp_path / "t.onnx")
    inputs = {"words": tokens_of(), "lengths": LENGTHS}
    if characters != "none":
        letters = torch.randint(0, 6, (3, 5, 4))
        letters[2:, 0] = 0
        lengths = np.minimum(3, np.arange(20).reshape(5, 4) % 4)
        lengths[0] = 2
        inputs |= {"characters": letters.numpy(), "character_lengths": lengths}
    with torch.no_grad():
        expected = model(as_batch(inputs)).outputs
    got = file(**inputs)
    assert set(got) == set(expected)
    for n, length in enumerate(LENGTHS):
        own = expected["emissions"][:length, n].numpy()
        np.testing.assert_allclose(got["emissions"][:length, n], own, atol=1e-6, rtol=0)
        assert not got["emissions"][length:, n].any()
        some = {name: array[:, n : n + 1] for name, array in inputs.items() if array.ndim == 2}
        some |= {name: array[:, :, n : n + 1] for name, array in inputs.items() if array.ndim == 3}
        alone = file(**some, lengths=LENGTHS[n : n + 1])["emissions"]
        np.testing.assert_allclose(alone[:length, 0], own, atol=1e-6, rtol=0)
    for name in set(got) - {"emissions"}:
        np.testing.assert_array_equal(got[name], expected[name].detach().numpy())


def test_a_tagger_reads_patterns_and_a_dictionary_whatever_stands_in_the_padding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = tagger(11, 6, 5, embedding_size=3, hidden_size=4, characters="none", pattern_size=2, dictionary=3).eval()
    file = exported(model, tmp_path / "t.onnx")
    rng = np.random.default_rng(0)
    inputs = {"words": tokens_of(), "lengths": LENGTHS, "patterns": rng.integers(0, 6, (5, 4))}
    inputs["dictionary"] = rng.random((5, 4, 3), np.float32)
    inputs["dictionary"][np.arange(5)[:, None] >= LENGTHS] = np.nan
    with torch.no_grad():
        expected = model(as_batch(inputs)).outputs["emissions"].numpy()
    got = file(**inputs)["emissions"]
    for n, length in enumerate(LENGTHS):
        np.testing.assert_allclose(got[:length, n], expected[:length, n], atol=1e-6, rtol=0)
    for name in ("patterns", "dictionary"):  # both are read
        other = {**inputs, name: np.zeros_like(inputs[name])}
        assert not np.allclose(file(**other)["emissions"], got, atol=1e-4)


@pytest.mark.parametrize("target", ["any", "onnxruntime"])
@pytest.mark.parametrize("characters", ["lstm", "cnn"])
def test_a_tagger_that_reads_letters_answers_where_no_sequence_has_a_word(
    characters: str, target: str, tmp_path: Path
) -> None:
    model = tagger(11, 6, 5, embedding_size=3, hidden_size=4, characters=characters).eval()
    nothing = np.zeros((0, 2), np.int64)
    letters = {"characters": np.zeros((3, 0, 2), np.int64), "character_lengths": nothing}
    file = exported(model, tmp_path / "t.onnx", target=target)
    assert file(words=nothing, lengths=np.zeros(2, np.int64), **letters)["emissions"].shape == (0, 2, 5)


@pytest.mark.parametrize("pooler", [False, True])
def test_published_weights_answer_where_no_sequence_has_a_piece(pooler: bool, tmp_path: Path) -> None:
    model = made(folder(tmp_path / "tiny"), pooler=pooler)
    file = exported(model, tmp_path / "c.onnx")
    nothing, lengths = np.zeros((0, 2), np.int64), np.zeros(2, np.int64)
    got = file(tokens=nothing, lengths=lengths)["logits"]
    with torch.no_grad():
        expected = model(Batch({"tokens": torch.from_numpy(nothing)}, torch.from_numpy(lengths), {}, ()))
    np.testing.assert_allclose(got, expected.outputs["logits"].numpy(), atol=1e-6, rtol=0)


# -- one token after another -------------------------------------------------------------------------------------------


class Translator:
    """The two files of a model: `start` gives what the first step reads, `step` goes on."""

    def __init__(self, model: EncoderDecoder, folder: Path) -> None:
        first, second = onnx(model, folder / "m.onnx")
        assert [first.path.name, second.path.name] == ["m.encoder.onnx", "m.step.onnx"]
        self.encoder, self.steps = File(first.path), File(second.path)

    def start(self, sources: Any, copies: Any = None) -> dict[str, Array]:
        inputs = {"source": tokens_of(sources), "source_lengths": np.array(list(map(len, sources)))}
        return self.encoder(**inputs, **({} if copies is None else {"source_copy": tokens_of(copies)}))

    def step(self, tokens: list[int], state: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        said = self.steps(tokens=np.array(tokens), **state)
        return said, state | {name.removeprefix("next_"): a for name, a in said.items() if name.startswith("next_")}

    def greedy(self, sources: Any, copies: Any, steps: int) -> list[list[int]]:
        state, said = self.start(sources, copies), [[BOS] for _ in sources]
        for _ in range(steps):
            found, state = self.step([row[-1] for row in said], state)
            for row, best in zip(said, found["log_probs"].argmax(1).tolist(), strict=True):
                row.append(best)
        return [row[1:] if EOS not in row else row[1 : row.index(EOS)] for row in said]


KINDS: dict[str, dict[str, Any]] = {
    "bahdanau": {},
    "luong, fed": {"style": "luong", "input_feeding": True, "attention": "general"},
    "sutskever": {"attention": "none", "reverse_source": True, "bidirectional": False, "bridge": "last"},
    "cho": {"attention": "none", "style": "cho", "cell": "gru", "num_layers": 2},
    "copying": {"copying": True, "attention": {"name": "additive", "coverage": True}},
    "heads": {"attention": {"name": "multi_head", "num_heads": 2}, "bridge": "mean"},
    "window": {"attention": {"name": "local_monotonic", "window": 1}, "style": "luong"},
    "predicted": {"attention": {"name": "local_predictive", "window": 2, "normalize": False, "score": "concat"}},
    "scaled": {"attention": "scaled_dot", "decoder_size": 8, "bridge": "zeros"},
    "deep": {
        "decoder_layers": 3,
        "decoder_cell": "lstm_layernorm",
        "tie": "all",
        "readout": "tanh",
        "bridge": "linear",
    },
}


AWD: dict[str, Any] = {"name": "awd", "hidden_size": 6, "num_layers": 2}  # h_l0 of 6 numbers, h_l1 of 4


def over(encoder: dict[str, Any], **decoder: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    inputs = {"name": "tokens", "embedding_size": 4}
    options = {"name": "recurrent", "embedding_size": 4, "hidden_size": 4, **decoder}
    return EncoderDecoder({"tokens": V, "target": V}, inputs=inputs, encoder=encoder, decoder=options)


OTHER_ENCODERS: dict[str, EncoderDecoder] = {
    "awd": over(AWD),
    "awd, linear": over(AWD, bridge="linear", num_layers=3, cell="gru"),
    "awd, mean": over({**AWD, "cell": "slstm"}, bridge="mean", style="luong"),
    "convolutional": over({"name": "convolutional", "hidden_size": 4, "kernel_size": 3}, bridge="mean"),
    "awd, summary": over({**AWD, "num_layers": 1, "last_layer": "hidden_size"}, attention="none", style="cho"),
}


ATTENDS: dict[str, Any] = {"name": "transformer", "hidden_size": 8, "num_heads": 2}
# Options of a decoder of attention, over an encoder.
ATTENDING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "attends": (ATTENDS, {}),
    "attends, rotary, gated": (ATTENDS, {"positions": "rotary", "activation": "swiglu", "norm": "rms"}),
    "attends, learned, post-norm": (
        {**ATTENDS, "positions": "learned", "max_positions": 9},
        {"positions": "learned", "max_positions": 9, "norm_first": False, "activation": "relu", "num_layers": 1},
    ),
    "attends to recurrent": ({"name": "recurrent", "hidden_size": 5, "bidirectional": True}, {"num_layers": 3}),
    "attends to causal": (
        {**ATTENDS, "causal": True, "window": 2},
        {"positions": "none", "tie": "none", "activation": "gelu_tanh"},
    ),
}


def attending(kind: str) -> EncoderDecoder:
    encoder, decoder = ATTENDING[kind]
    torch.manual_seed(0)
    inputs = {"name": "tokens", "embedding_size": 4}
    return EncoderDecoder({"tokens": V, "target": V}, inputs=inputs, encoder=encoder, decoder=ATTENDS | decoder)


@pytest.mark.parametrize("kind", [*KINDS, *OTHER_ENCODERS, *ATTENDING])
def test_two_files_say_what_the_model_says(kind: str, tmp_path: Path) -> None:
    made = {**OTHER_ENCODERS, **({kind: attending(kind)} if kind in ATTENDING else {})}
    model = (made[kind] if kind in made else small(**KINDS[kind])).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # so that answers differ
        translator = Translator(model, tmp_path)
        copies = COPIES if kind == "copying" else None
        given = batch(copies=copies)
        limit = 6
        state = model.start(given)
        expected = greedy(model, state, num_rows=len(SOURCES), start=BOS, end=EOS, max_length=limit)
    said = translator.greedy(SOURCES, copies, limit)
    assert [tuple(row) for row in said] == [tuple(best.tokens) for (best,) in expected]
    for n, source in enumerate(SOURCES):
        own = translator.greedy([source], None if copies is None else [copies[n]], limit)
        assert own == [said[n]]


@pytest.mark.parametrize("decoder", [{"name": "recurrent", "attention": "additive", "bridge": "mean"}, ATTENDS])
def test_a_model_of_features_begins_as_the_model_does(decoder: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = {"name": "recurrent", "hidden_size": 4}
    made = EncoderDecoder({"features": 3, "target": V}, inputs="vectors", encoder=encoder, decoder=decoder)
    model = made.eval()
    first, _ = onnx(model, tmp_path / "m.onnx")
    features = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    features[np.arange(5)[:, None] >= LENGTHS] = np.nan
    got = File(first.path)(features=features, source_lengths=LENGTHS)
    given = Batch({"features": torch.from_numpy(features).nan_to_num()}, torch.from_numpy(LENGTHS), {}, ())
    writer = encoder_decoder.WRITERS[type(model.decoder)]
    with torch.no_grad():
        expected = writer.arrays(model.decoder, model.start(given))
    for name in set(got) & set(expected):
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6, rtol=0)
    assert len(set(got) & set(expected)) > 2


def test_a_beam_takes_rows_of_what_is_kept(tmp_path: Path) -> None:
    model = small(copying=True, attention={"name": "additive", "coverage": True}).eval()
    translator, rows = Translator(model, tmp_path), [1, 1, 3]
    _, state = translator.step([BOS] * 4, translator.start(SOURCES, COPIES))
    chosen = {name: array[rows] for name, array in state.items()}
    whole, _ = translator.step([5, 6, 7, 8], state)
    some, _ = translator.step([6, 6, 8], chosen)
    np.testing.assert_allclose(some["log_probs"], whole["log_probs"][rows], atol=1e-6, rtol=0)
    np.testing.assert_allclose(some["attention"], whole["attention"][rows], atol=1e-6, rtol=0)
    assert whole["log_probs"].shape == (4, V + 2)
    np.testing.assert_allclose(np.exp(whole["log_probs"]).sum(1)[[0, 1, 3]], 1, atol=1e-6)  # 2 has nothing to copy
    np.testing.assert_allclose(whole["attention"].sum(1), [1, 1, 0, 1], atol=1e-6)


@pytest.mark.parametrize("kind", ATTENDING)
def test_keys_and_values_go_from_step_to_step_and_with_the_rows_of_a_beam(kind: str, tmp_path: Path) -> None:
    """Forty steps, a beam's choice in the midst of them: log-probabilities are the model's, and so is its attention."""
    model = attending(kind).eval()
    steps = 8 if "learned" in kind else 40
    tokens, chosen = np.random.default_rng(0).integers(2, V, (steps, 4)), [1, 1, 0, 3]
    with torch.no_grad():
        translator, state = Translator(model, tmp_path), model.start(batch())
        kept = translator.start(SOURCES)
        for t, row in enumerate(tokens):
            if t == steps // 2:
                state, kept = model.select(state, torch.tensor(chosen)), {n: a[chosen] for n, a in kept.items()}
            expected, state = model.step(torch.from_numpy(row), state)
            said, kept = translator.step(row.tolist(), kept)
            np.testing.assert_allclose(said["log_probs"], expected.numpy(), atol=5e-6, rtol=0)
        assert kept["keys_l0"].shape[1] == steps
        # Teacher forcing with the first half, whose rows the beam has not chosen from yet, sees the source as steps do.
        again, kept = torch.from_numpy(tokens[: steps // 2]), translator.start(SOURCES)
        inputs = {**batch().inputs, "target": again, "target_lengths": torch.full((4,), len(again))}
        looked = model(Batch(inputs, batch().lengths, {}, ())).outputs["attention"].numpy()
        for t, row in enumerate(tokens[: steps // 2]):
            said, kept = translator.step(row.tolist(), kept)
            np.testing.assert_allclose(said["attention"], looked[t], atol=1e-6, rtol=0)


def test_positions_far_on_are_as_exact_as_the_first(tmp_path: Path) -> None:
    model = attending("attends").eval()
    far, P = Translator(model, tmp_path), 3000
    kept = {n: np.repeat(a[:1], 2, 0) for n, a in far.start(SOURCES).items()}
    rng = np.random.default_rng(0)
    kept |= {n: rng.normal(size=(2, P, 8)).astype(np.float32) for n in kept if n.startswith(("keys", "values"))}
    said = far.steps(tokens=np.array([5, 6]), **kept)
    tensors = {n: torch.from_numpy(a) for n, a in {"tokens": np.array([5, 6]), **kept}.items()}
    exactly = {n: one.double() if one.is_floating_point() else one for n, one in tensors.items()}
    with torch.no_grad():
        _, exact = attending_decoder.answer(model.decoder.double(), exactly)
    np.testing.assert_allclose(said["log_probs"], exact["log_probs"], atol=1e-6, rtol=0)


def test_neither_file_is_written_if_one_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = recurrent_decoder.zone
    monkeypatch.setattr(recurrent_decoder, "zone", lambda draw, p, old, new: zone(draw, 0.5, old, new))
    with pytest.raises(RunError, match=r"m\.step\.onnx: not written: "):
        onnx(small(), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_nobody_trains_from_a_file_is_refused(tmp_path: Path) -> None:
    model = EncoderDecoder(
        {"features": 3, "target": 8},
        inputs="vector",
        encoder="identity",
        decoder={"name": "recurrent", "attention": "none"},
    )
    with pytest.raises(ConfigError, match=r"there is no way to write inputs Vector as ONNX"):
        onnx(model, tmp_path / "m.onnx")


def with_layers(**options: Any) -> SequenceModel:
    """A classifier over layers of attention that somebody has put in, and a norm like theirs."""
    torch.manual_seed(0)
    model = SequenceModel({"features": 2, "labels": 3}, inputs="vectors", encoder=ATTENDS, head="label")
    model.encoder.blocks = torch.nn.ModuleList([TransformerEncoderLayer(8, 2, 16, **options)])
    model.encoder.norm = torch.nn.LayerNorm(8, bias=options.get("bias", True))
    return model.eval()


@pytest.mark.parametrize(
    "options",
    [{"bias": False}, {"activation": torch.nn.functional.gelu}, {"activation": torch.nn.functional.relu}],
    ids=["no biases", "gelu", "relu"],
)
def test_layers_that_a_config_has_no_options_for_answer_as_in_torch(options: dict[str, Any], tmp_path: Path) -> None:
    model = with_layers(**options)
    features = np.random.default_rng(0).normal(size=(6, 3, 2)).astype(np.float32)
    lengths = np.array([6, 1, 0])
    with torch.no_grad():
        batch = Batch({"features": torch.from_numpy(features)}, torch.from_numpy(lengths), {}, ())
        expected = model(batch).outputs["logits"].numpy()
    got = exported(model, tmp_path / "c.onnx")(features=features, lengths=lengths)
    np.testing.assert_allclose(got["logits"], expected, atol=2e-6, rtol=0)


def test_a_function_of_python_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no way to write an activation that is a function .* its word: relu, gelu"):
        onnx(with_layers(activation=torch.sin), tmp_path / "c.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize(
    "encoder",
    [
        {"name": "convolutional", "hidden_size": 4, "kernel_size": 3, "dilated": True},
        {"name": "elmo", "hidden_size": 2, "num_layers": 2},  # as wide as the inputs, which are mixed in
        {"name": "elmo", "hidden_size": 3, "cell": "gru"},
        {"name": "dense", "sizes": [4, 3], "layer_norm": True},
        {"name": "dense", "sizes": [4], "activation": "tanh"},
        {"name": "dense", "sizes": [4], "activation": "sigmoid"},
        {"name": "transformer", "hidden_size": 8, "num_heads": 2},
        {
            "name": "transformer",
            "hidden_size": 8,
            "num_heads": 2,
            "norm_first": False,
            "positions": "learned",
            "activation": "relu",
        },
        {
            "name": "transformer",
            "hidden_size": 8,
            "num_heads": 2,
            "norm": "rms",
            "positions": "rotary",
            "activation": "swiglu",
        },
        {"name": "transformer", "hidden_size": 7, "num_heads": 1, "positions": "sinusoid", "activation": "gelu_tanh"},
        {"name": "transformer", "hidden_size": 6, "num_heads": 3, "positions": "none", "activation": "geglu"},
        {"name": "transformer", "hidden_size": 8, "num_heads": 2, "causal": True, "window": 3, "positions": "rotary"},
    ],
    ids=str,
)
def test_a_model_without_states_answers_as_in_torch_and_notices_no_padding(
    encoder: dict[str, Any], pooling: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    head = {"name": "label", "pooling": pooling}
    model = SequenceModel({"features": 2, "labels": 3}, inputs="vectors", encoder=encoder, head=head).eval()
    file = exported(model, tmp_path / "c.onnx")
    features = np.random.default_rng(0).normal(size=(6, 3, 2)).astype(np.float32)
    lengths = np.array([6, 1, 0])
    with torch.no_grad():
        batch = Batch({"features": torch.from_numpy(features)}, torch.from_numpy(lengths), {}, ())
        expected = model(batch).outputs["logits"].numpy()
    features[1:, 1] = features[:, 2] = np.nan
    np.testing.assert_allclose(file(features=features, lengths=lengths)["logits"], expected, atol=2e-6, rtol=0)


# -- language models ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"softmax": "adaptive"},
        {"softmax": "adaptive", "tied": False, "div_value": 2.0, "cell": "slstm"},
        {"num_layers": 1, "cell": "gru_simple", "tied": False},
    ],
    ids=str,
)
def test_a_language_model_goes_on_from_its_states(options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = language_model(15, **{"embedding_size": 6, "hidden_size": 5, **options}).eval()
    file = exported(model, tmp_path / "l.onnx")
    lengths, rows = np.array([5, 1, 0, 2]), tokens_of(ROWS)
    inputs = {"tokens": rows, "lengths": lengths}
    with torch.no_grad():
        outputs = model(as_batch(inputs)).outputs
        expected = softmax_log_probabilities(outputs).numpy()
    zeros = {name: np.zeros_like(t.numpy()) for name, t in outputs.items() if name.startswith("state.")}
    got = file(**inputs, **zeros)
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(got["log_probs"][:length, n], expected[:length, n], atol=2e-6, rtol=0)
        assert not got["log_probs"][length:, n].any()
    for name in zeros:
        np.testing.assert_allclose(got[f"next_{name}"], outputs[name].numpy(), atol=1e-6, rtol=0)
    state = {name: array[:1] for name, array in zeros.items()}
    for t in range(5):  # one token at a time, as in generation
        step = file(tokens=rows[t : t + 1, :1], lengths=np.array([1]), **state)
        np.testing.assert_allclose(step["log_probs"][0, 0], got["log_probs"][t, 0], atol=2e-6, rtol=0)
        state = {name: step[f"next_{name}"] for name in state}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window": 3, "positions": "rotary", "activation": "geglu", "norm": "rms"},
        {"positions": "learned", "max_positions": 12, "window": 4, "norm_first": False},
        {"positions": "none", "window": 1, "num_layers": 1},
    ],
    ids=str,
)
def test_a_language_model_of_attention_goes_on_from_its_keys(options: dict[str, Any], tmp_path: Path) -> None:
    """A text whole, in pieces, and token by token, past its window and beside others: as the model in one piece."""
    torch.manual_seed(0)
    encoder = {**ATTENDS, "causal": True, **options}
    model = SequenceModel(
        {"tokens": 15}, inputs={"name": "tokens", "embedding_size": 8}, encoder=encoder, head="vocabulary"
    )
    file = exported(model.eval(), tmp_path / "l.onnx")
    rows = [[*range(2, 13)], [4, 4, 9], [], [14, 3, 3, 7, 8, 2]]
    tokens, lengths = tokens_of(rows), np.array([len(row) for row in rows])
    with torch.no_grad():
        outputs = model(as_batch({"tokens": tokens, "lengths": lengths})).outputs
        expected = softmax_log_probabilities(outputs).numpy()
    zeros = {name: np.zeros_like(t.numpy()) for name, t in outputs.items() if name.startswith("state.")}
    for cuts in ((0, 11), (0, 5, 11), tuple(range(12))):
        state = zeros
        for first, last in itertools.pairwise(cuts):
            here = np.clip(lengths - first, 0, last - first)
            got = file(tokens=tokens[first:last], lengths=here, **state)
            state = {name: got[f"next_{name}"] for name in zeros}
            for n, length in enumerate(here):
                own = expected[first : first + length, n]
                np.testing.assert_allclose(got["log_probs"][:length, n], own, atol=5e-6, rtol=0)
                assert not got["log_probs"][length:, n].any()
        for name in zeros:
            np.testing.assert_allclose(state[name], outputs[name].numpy(), atol=5e-6, rtol=0)


def test_chords_go_on_from_their_states(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = chords(6, hidden_size=4, num_layers=2).eval()
    file = exported(model, tmp_path / "c.onnx")
    notes = np.random.default_rng(0).integers(0, 2, (5, 3, 6)).astype(np.float32)
    notes[2:, 1] = notes[:, 2] = np.nan
    lengths, zeros = np.array([5, 2, 0]), np.zeros((3, 4), dtype=np.float32)
    names = [f"state.{name}_l{layer}" for name in "hc" for layer in (0, 1)]
    got = file(features=notes, lengths=lengths, **dict.fromkeys(names, zeros))
    given = {"features": torch.from_numpy(notes)}
    with torch.no_grad():
        expected = model(Batch(given, torch.from_numpy(lengths), {}, ())).outputs
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(got["logits"][:length, n], expected["logits"][:length, n], atol=1e-6, rtol=0)
        assert not got["logits"][length:, n].any()
    state = dict.fromkeys(names, zeros[:1])
    for t in range(5):  # one chord at a time
        step = file(features=notes[t : t + 1, :1], lengths=np.array([1]), **state)
        np.testing.assert_allclose(step["logits"][0, 0], got["logits"][t, 0], atol=1e-6, rtol=0)
        state = {name: step[f"next_{name}"] for name in state}


@pytest.mark.parametrize("weighting", ["tfidf", "counts", "binary"])
def test_a_classifier_with_a_bag_answers_as_the_model_whatever_stands_in_the_padding(
    weighting: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    sizes = {"tokens": 11, "labels": 3, "ngrams": 20, "word_ngrams": 6}
    model = SequenceModel(sizes, encoder={"name": "recurrent", "hidden_size": 4}, wide=bag_of(weighting)).eval()
    model.wide.scale.copy_(torch.rand(20))
    model.wide.weight.copy_(torch.randn(20, 3))
    model.wide.share.copy_(torch.tensor([0.6, 0.3]))
    file = exported(model, tmp_path / "c.onnx")
    ngrams, counts = np.array([[3, 19, GARBAGE, 5], [7, GARBAGE, GARBAGE, 1]]), np.array([[1, 4, 0, 2], [3, 0, 0, 1]])
    inputs = {
        "tokens": tokens_of(),
        "lengths": LENGTHS,
        "ngrams": ngrams,
        "ngram_counts": counts.astype(np.float32),
    }
    with torch.no_grad():
        expected = model(as_batch(inputs)).outputs["logits"].numpy()
    np.testing.assert_allclose(file(**inputs)["logits"], expected, atol=1e-5)
    alone = model.wide.logits(as_batch(inputs)).numpy()
    assert np.abs(expected - 0.3 * alone).max() > 0.1


@pytest.mark.parametrize("wide", ["none", "bag"])
def test_a_model_of_ngrams_alone_as_a_file(wide: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"tokens": 11, "labels": 3, "ngrams": 20, "word_ngrams": 6}
    read = {"name": "bag", "embedding_size": 5}
    model = SequenceModel(sizes, inputs=read, encoder={"name": "dense", "sizes": (4,)}, wide=wide).eval()
    model.inputs.scale.copy_(torch.rand(20))
    if wide == "bag":
        model.wide.scale.copy_(torch.rand(20))
        model.wide.weight.copy_(torch.randn(20, 3))
    file = exported(model, tmp_path / "c.onnx")
    ngrams, counts = np.array([[3, 19, GARBAGE, 5], [7, GARBAGE, GARBAGE, 1]]), np.array([[1, 4, 0, 2], [3, 0, 0, 1]])
    inputs = {"ngrams": ngrams, "ngram_counts": counts.astype(np.float32), "lengths": LENGTHS}
    with torch.no_grad():
        expected = model(as_batch(inputs)).outputs["logits"].numpy()
    np.testing.assert_allclose(file(**inputs)["logits"], expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.01


def bag_of(weighting: str) -> dict[str, Any]:
    return {"name": "bag", "weighting": weighting}

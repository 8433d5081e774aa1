"""Text autoencoders: what is hidden, said and scored, against NumPy float64, without training one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from oracles import autoencoder as oracle
from oracles import gru
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.draws import key_of, normals
from recurra.data.tokenizers import BOS, EOS, PAD, UNK
from recurra.models import TextAutoencoder
from recurra.tasks import TextAutoencoding, TextAutoencodingConfig
from recurra.tasks.autoencoding import bounds

TEXTS = ("a red dog runs", "a red cat", "the dog", "the cat sees a red dog run", "a", "the red dog sees the cat")


USUAL: dict[str, Any] = {"attention": "none", "style": "cho", "bridge": "mean", "readout": "state"}


def fitted(**options: Any) -> tuple[TextAutoencoding, list[Any]]:
    config = TextAutoencodingConfig(**{"code_size": 3, "tokenizer": "spaces", **options})
    records = [Record({"text": text}, Origin("texts.txt", n)) for n, text in enumerate(TEXTS, 1)]
    task, examples = config.fit_examples([config.read(record) for record in records], "texts.txt")
    return task, list(examples)


def model_of(task: TextAutoencoding, decoder: str = "recurrent", **options: Any) -> TextAutoencoder:
    torch.manual_seed(0)
    options = {
        "attention": "none",
        "style": "cho",
        "bridge": "mean",
        "readout": "state",
        "embedding_size": 5,
        **options,
    }
    if decoder == "transformer":
        options = {"hidden_size": 8, "num_heads": 2, "num_layers": 1, "dropout": 0.0}
    latent = "variational" if task.plan.variational else "plain"
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 4}
    parts: dict[str, Any] = {"encoder": encoder, "latent": latent, "decoder": {"name": decoder, **options}}
    return TextAutoencoder(task.model_sizes, **parts).eval()


def log_probabilities(model: TextAutoencoder, code: np.ndarray, read: list[int]) -> np.ndarray:
    """(S, V) of what follows each token, of a GRU from tanh(W z + b) that reads a token's vector and z at each step."""
    w = {name: value.detach().double().numpy() for name, value in model.decoder.state_dict().items()}
    cell = gru.unpack({name[10:-3]: value for name, value in w.items() if name.startswith("recurrent.")})
    h = np.tanh(w["bridge.maps.h_l0.weight"] @ code + w["bridge.maps.h_l0.bias"])
    found = []
    for token in read:
        (h,) = gru.after_step(np.concatenate([w["embedding.weight"][token], code]), (h,), cell)
        logits = w["output.weight"] @ h + w["output.bias"]
        found.append(logits - logits.max() - np.log(np.exp(logits - logits.max()).sum()))
    return np.array(found)


def test_a_text_costs_and_is_written_again_as_in_numpy() -> None:
    task, examples = fitted()
    model = model_of(task, cell="gru", hidden_size=4).double()
    with torch.inference_mode():
        outputs = task.predict(model, task.collate(examples, range(6)), examples)
        codes = model.codes(task.collate(examples, range(6))).numpy()
    for example, output, code in zip(examples, outputs, codes, strict=True):
        ids = example.encoded.ids.tolist()
        told = log_probabilities(model, code, [BOS, *ids])
        assert output.nats == pytest.approx(-told[np.arange(len(ids) + 1), [*ids, EOS]].sum(), rel=1e-6)  # of float32
        said: list[int] = []
        while len(said) < len(ids) + 11 and (not said or said[-1] != EOS):
            last = log_probabilities(model, code, [BOS, *said])[-1]
            last[[PAD, BOS]] = -np.inf
            said.append(int(last.argmax()))
        assert list(output.tokens) == [token for token in said if token != EOS]
        assert output.same == sum(a == b for a, b in zip(said, [*ids, EOS], strict=False))
    scores = {score.name: score.value for score in task.score(outputs, examples, "dev")}
    tokens = sum(len(text.split()) + 1 for text in TEXTS)
    assert scores["log_loss"] == pytest.approx(sum(one.nats for one in outputs) / tokens)
    assert scores["token_accuracy"] == pytest.approx(sum(one.same for one in outputs) / tokens)
    assert set(scores) == {"log_loss", "token_accuracy", "exact_match"}


def test_encoder_and_decoder_may_be_one_network() -> None:
    task, examples = fitted()
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 4, "bidirectional": False}
    decoder = {"name": "recurrent", "attention": "none", "style": "sutskever", "bridge": "mean", "readout": "state",
               "embedding_size": 4, "tie": "all"}  # fmt: skip
    parts: dict[str, Any] = {"inputs": {"name": "tokens", "embedding_size": 4}, "encoder": encoder}
    model = TextAutoencoder(task.model_sizes, **parts, decoder=decoder, share_layers=True)
    assert model.decoder.recurrent is model.encoder.recurrent
    assert model.decoder.embedding.weight is model.inputs.table
    batch = task.collate(examples, range(6))
    apart = TextAutoencoder(task.model_sizes, **parts, decoder=decoder)
    apart.load_state_dict(model.state_dict())
    for one in (model, apart):
        task.loss(one(batch), batch).total.backward()
    (ours, theirs), other = (
        (dict(one.named_parameters()) for one in (apart.encoder, apart.decoder)),
        dict(model.encoder.named_parameters()),
    )
    for name, parameter in other.items():  # the gradients of both places
        both = ours[name].grad + theirs[name].grad
        torch.testing.assert_close(parameter.grad, both, rtol=1e-4, atol=1e-6)
    with pytest.raises(ConfigError, match="share_layers: the layers of encoder and decoder have other shapes"):
        TextAutoencoder(task.model_sizes, **parts, decoder={**decoder, "style": "cho"}, share_layers=True)
    for own in ({"variational_dropout": 0.5}, {"zoneout": 0.1}, {"init": "orthogonal"}, {"backend": "reference"}):
        with pytest.raises(ConfigError, match=f"share_layers: .* model.decoder has no {next(iter(own))} of its own"):
            TextAutoencoder(task.model_sizes, **parts, decoder={**decoder, **own}, share_layers=True)
    with pytest.raises(ConfigError, match="share_layers: expected encoder and decoder recurrent"):
        TextAutoencoder(task.model_sizes, **parts, decoder="transformer", share_layers=True)


def test_bounds_are_of_codes_that_are_drawn_by_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    task, examples = fitted(variational=True, importance_samples=4)
    model = model_of(task, cell="gru", hidden_size=4).double()
    with torch.inference_mode():
        outputs = task.predict(model, task.collate(examples, range(6)), examples)
        coded = model.code(task.collate(examples, range(6)))
    for n, (example, output) in enumerate(zip(examples, outputs, strict=True)):
        ids = example.encoded.ids.tolist()
        key = key_of(0, 0, example.encoded.ids.tobytes())
        noise = np.array([normals(key, 3, bounds.FIRST + k).astype(np.float32) for k in range(4)], float)
        mean, deviation = coded.mean[n].numpy(), np.exp(0.5 * coded.log_variance[n].numpy())
        likelihoods = np.array(
            [
                log_probabilities(model, mean + deviation * one, [BOS, *ids])[
                    np.arange(len(ids) + 1), [*ids, EOS]
                ].sum()
                for one in noise
            ]
        )
        assert output.nats == pytest.approx(-likelihoods[0], rel=1e-6)
        assert output.parts["nll"] == pytest.approx(
            oracle.importance_bound(mean, deviation, noise, likelihoods), rel=1e-6
        )
        assert output.parts["kl"] == pytest.approx(oracle.divergence(mean, deviation, 40_000), rel=1e-4)
    scores = {score.name: score.value for score in task.score(outputs, examples, "dev")}
    tokens, both = sum(len(t.split()) + 1 for t in TEXTS), sum(one.nats + one.parts["kl"] for one in outputs)
    assert scores["perplexity"] == pytest.approx(math.exp(both / tokens))
    assert scores["elbo"] == pytest.approx(-both / 6)
    assert {"nll", "active_units", "mutual_information"} <= set(scores)
    assert {s.name for s in task.possible_scores(examples)} == set(scores)


@pytest.mark.parametrize("decoder", ["recurrent", "transformer"])
@pytest.mark.parametrize("variational", [False, True])
def test_a_text_alone_has_the_answer_and_the_nats_that_it_has_among_others(decoder: str, variational: bool) -> None:
    task, examples = fitted(variational=variational)
    model = model_of(task, decoder)
    with torch.inference_mode():
        together = task.predict(model, task.collate(examples, range(6)), examples)
        for n, example in enumerate(examples):
            (alone,) = task.predict(model, task.collate([example], (n,)), [example])
            assert alone.tokens == together[n].tokens
            assert alone.nats == pytest.approx(together[n].nats, rel=1e-6)
            np.testing.assert_allclose(alone.code, together[n].code, rtol=1e-6, atol=1e-7)
        batch = task.collate(examples, range(6))
        batch.inputs["draws"] = torch.zeros(6, 3)
        losses = [task.loss(model(one), one).total for one in (_drawn(task, [e]) for e in examples)]
        assert float(task.loss(model(batch), batch).total) == pytest.approx(float(sum(losses)), rel=1e-6)


def _drawn(task: TextAutoencoding, examples: list[Any]) -> Any:
    batch = task.collate(examples, range(len(examples)))
    batch.inputs["draws"] = torch.zeros(len(examples), 3)
    return batch


def test_what_is_hidden_is_a_function_of_seed_epoch_and_text_and_of_no_batch() -> None:
    task, examples = fitted(decoder_word_dropout=0.5, token_drop=0.4)
    batch = task.hidden(examples, range(6), 3, 2)
    assert torch.equal(batch.targets["tokens"], task.collate(examples, range(6)).targets["tokens"])
    for n, example in enumerate(examples):
        alone = task.hidden([example], (n,), 3, 2)
        for name in ("tokens", "target"):
            steps = len(alone.inputs[name])
            assert torch.equal(alone.inputs[name][:, 0], batch.inputs[name][:steps, n])
        ids = example.encoded.ids.tolist()
        assert alone.inputs["target"][0, 0] == BOS
        assert all(a in (UNK, b) for a, b in zip(alone.inputs["target"][1:, 0].tolist(), ids, strict=True))
        read, rest = alone.inputs["tokens"][:, 0].tolist(), iter(ids)
        assert read
        assert all(token in rest for token in read)  # in their order, some left out
    assert any(not torch.equal(task.hidden(examples, range(6), *o).inputs["target"], batch.inputs["target"])
               for o in ((3, 3), (4, 2)))  # fmt: skip
    hidden = np.concatenate([task.hiding.of(np.full(1000, 7, np.uint16), 0, epoch)[1] for epoch in range(9)])
    assert (hidden == UNK).mean() == pytest.approx(0.5, abs=0.03)
    lengths = [len(task.hiding.of(np.full(1000, 7, np.uint16), 0, epoch)[0]) for epoch in range(9)]
    assert np.mean(lengths) == pytest.approx(600, abs=30)
    sampler = task.sampler(examples, batch_tokens=100, batch_rows=9, seed=3)
    drawn = sampler.batch(sampler.plan(2)[0])
    again = task.hidden([examples[i] for i in drawn.indices], drawn.indices, 3, 2)
    assert torch.equal(drawn.inputs["target"], again.inputs["target"])
    assert not fitted()[0].hiding.hides


def test_counted_tokens_stand_beside_without_a_code() -> None:
    task, examples = fitted(variational=True)
    found = task.baselines(examples, {"test": examples}).scores
    words = [token for text in TEXTS for token in (*text.split(), "</s>")]
    size = len(task.vocabulary)
    nats = -sum(math.log((words.count(word) + 1) / (len(words) + size)) for word in words) / len(words)
    scores = {score.name: score.value for score in found["unigram"]}
    assert scores["log_loss"] == pytest.approx(nats)
    assert scores["perplexity"] == pytest.approx(math.exp(nats))
    assert found["bigram"][1].value < scores["log_loss"]


def test_what_cannot_be_read_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match="importance_samples: have no effect without variational"):
        TextAutoencodingConfig(importance_samples=3)
    config = TextAutoencodingConfig()
    with pytest.raises(DataError, match=r"t\.txt:4: column 'text' is empty, expected text"):
        config.read(Record({"text": "  "}, Origin("t.txt", 4)))
    task, _ = fitted(max_length=2)
    with pytest.raises(RunError, match=r"task\.json: expected a reader of texts"):
        config.restore({}, "task.json")
    assert config.restore(task.to_json(), "task.json").vocabulary.tokens(range(6)) == task.vocabulary.tokens(range(6))
    cut = task.example(Record({"text": "a red dog"}, Origin("t.txt", 5)), gold=False)
    assert "1 of 1 texts are longer than task.max_length = 2 tokens" in task.warnings([], [cut])[0]
    blank = task.example(Record({"text": " "}, Origin("t.txt", 6)), gold=False)
    with torch.inference_mode():
        (said,) = task.predict(model_of(task), task.collate([blank], (0,)), [blank])
    assert task.answer(blank, said).note == "blank text"
    with pytest.raises(ConfigError, match=r"latent: with task\.variational a code is a distribution"):
        TextAutoencoder({**task.model_sizes, "variational": 1}, decoder={"name": "recurrent", "attention": "none",
                        "style": "cho", "bridge": "mean"})  # fmt: skip
    with pytest.raises(ConfigError, match="bridge: tanh maps the encoder's final states, and it keeps none"):
        TextAutoencoder(task.model_sizes, decoder={"name": "recurrent", "attention": "none", "style": "cho"})


def test_facts_count_tokens_and_the_unknown_ones() -> None:
    task, examples = fitted(min_count=2)
    facts = task.facts({"train": examples, "dev": []})
    words = " ".join(TEXTS).split()
    unknown = sum(words.count(word) < 2 for word in words)
    assert facts["train tokens"] == len(words)
    assert facts["train unknown tokens"] == f"{unknown / len(words):.2%}"
    assert (facts["dev tokens"], facts["dev unknown tokens"]) == (0, "0.00%")
    assert unknown == 2

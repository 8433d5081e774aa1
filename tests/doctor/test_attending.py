"""Heads of attention and what outputs depend on: each illness planted in a model is found, a healthy run is silent."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from api.api_room import done, refused, write_config
from recurra.base.contracts import Batch, Loss
from recurra.doctor import Diagnosis, probe
from recurra.doctor.attending import LONGEST, attention_probe
from recurra.doctor.heads import head_probes
from recurra.doctor.rendering import charts, report
from recurra.doctor.verdict import Verdict, judged_attention
from recurra.models import Autoencoder, EncoderDecoder, SequenceModel
from recurra.nn.transformer import Rows
from recurra.nn.transformer.attention import CrossAttention, SelfAttention

ATTENTION = {"name": "transformer", "hidden_size": 8, "num_heads": 2, "num_layers": 2}
LENGTHS = torch.tensor([6, 4, 5, 6])


def classifier(*, causal: bool = False) -> SequenceModel:
    """Weights as a training could have left them: large enough that heads choose."""
    torch.manual_seed(1)
    model = SequenceModel(
        {"tokens": 12, "labels": 3},
        inputs={"name": "tokens", "embedding_size": 8},
        encoder={**ATTENTION, "causal": causal},
        head="label",
    )
    return _stretched(model)


def translator() -> EncoderDecoder:
    torch.manual_seed(1)
    return _stretched(
        EncoderDecoder(
            {"tokens": 12, "target": 12},
            inputs={"name": "tokens", "embedding_size": 8},
            encoder=ATTENTION,
            decoder=ATTENTION,
        )
    )


def _stretched(model: Any) -> Any:
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, SelfAttention | CrossAttention):
                module.in_proj_weight.mul_(4)
    return model


def batch(model: nn.Module) -> Batch:
    made = torch.Generator().manual_seed(2)
    inputs = {"tokens": torch.randint(4, 12, (6, 4), generator=made)}
    if isinstance(model, EncoderDecoder):
        inputs |= {"target": torch.randint(4, 12, (5, 4), generator=made), "target_lengths": torch.tensor([5, 3, 4, 5])}
    return Batch(inputs, LENGTHS, {}, tuple(range(4)))


def loss(prediction: Any, batch: Batch) -> Loss:
    """Cross-entropy against what the model says of each row's own input."""
    outputs = prediction.outputs
    if "logits" in outputs:
        return Loss(nn.functional.cross_entropy(outputs["logits"], torch.tensor([0, 1, 2, 1]), reduction="sum"), 4)
    logits = outputs["hidden"] @ outputs["weight"].T + outputs["bias"]
    wanted = batch.inputs["tokens"][:5].flatten()
    return Loss(nn.functional.cross_entropy(logits.flatten(0, 1), wanted, reduction="sum"), len(wanted))


def verdict(model: nn.Module, plant: Callable[[nn.Module], None] = lambda model: None) -> Verdict:
    with torch.no_grad():
        plant(model)
    return Diagnosis((probe(model, batch(model), loss),), trained=True).verdict


def flat(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, SelfAttention | CrossAttention):
            module.in_proj_weight[: 2 * module.embed_dim] = 0


@pytest.mark.parametrize("causal", [False, True])
def test_heads_that_look_everywhere_alike_are_found_whether_causal_or_not(causal: bool) -> None:
    assert verdict(classifier(causal=causal)).word == "healthy"
    found = verdict(classifier(causal=causal), flat)
    assert found.word == "dead heads"
    assert "4 of 4 heads look everywhere alike" in found.evidence


def test_the_entropy_of_a_causal_head_is_beside_the_places_that_it_sees() -> None:
    even = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]).view(1, 1, 3, 3)
    assert head_probes(even)[0].entropy == pytest.approx(1)
    first = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]]).view(1, 1, 3, 3)
    assert (head_probes(first)[0].entropy, head_probes(first)[0].moves) == (0, 0)


def test_one_output_for_every_input_is_found() -> None:
    def deaf(model: Any) -> None:
        model.head.output.weight.zero_()

    found = verdict(classifier(), deaf)
    assert found.word == "one output"
    assert "outputs differ from one another by 0.0% of their size" in found.evidence


def test_a_decoder_that_does_not_read_its_source_is_found() -> None:
    assert verdict(translator()).word == "healthy"

    def deaf(model: nn.Module) -> None:
        for module in model.modules():
            if isinstance(module, CrossAttention):
                module.out_proj.weight.zero_()

    found = verdict(translator(), deaf)
    assert found.word == "source not read"
    assert "the loss is 0 nats a target higher where the decoder reads another row's source" in found.evidence


def test_weights_of_a_batch_are_those_of_each_sequence_alone() -> None:
    model = classifier().eval()
    together = probe(model, batch(model), loss).attention
    alone = []
    for n, length in enumerate(LENGTHS.tolist()):
        one = Batch({"tokens": batch(model).inputs["tokens"][:length, n : n + 1]}, LENGTHS[n : n + 1], {}, (n,))
        found = probe(model, one, lambda prediction, b: Loss(prediction.outputs["logits"].sum(), 1)).attention
        assert found is not None
        alone.append(found)
    assert together is not None
    for name, heads in together.heads.items():
        for k, head in enumerate(heads):
            assert head.entropy == pytest.approx(sum(a.heads[name][k].entropy for a in alone) / 4, abs=1e-5)


def test_a_model_without_recurrence_is_told_so_and_nothing_empty_is_drawn() -> None:
    model = classifier()
    found = Diagnosis((probe(model, batch(model), loss),), trained=True)
    assert found.verdict.evidence.startswith("there is no recurrent layer, so no gradient is carried from step to step")
    shown = report("t", found, (), "c.yaml")
    assert "no such curve is drawn" in str(shown.facts["recurrence"])
    assert [table.caption for table in shown.tables] == ["Verdict", "Heads of attention"]
    assert charts(found) == ()


def test_heads_are_not_judged_before_they_can_have_learned() -> None:
    model = classifier()
    with torch.no_grad():
        flat(model)
    early = Diagnosis((probe(model, batch(model), loss, step=199),))
    assert early.verdict.word == "healthy"
    assert "judged from 200 steps on" in early.verdict.evidence
    assert Diagnosis((probe(model, batch(model), loss, step=200),)).verdict.word == "dead heads"


def test_a_look_leaves_the_model_and_the_random_state_as_they_are() -> None:
    model = classifier().train()
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    probe(model, batch(model), loss)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_look_leaves_every_part_in_its_mode() -> None:
    model = classifier().train()
    model.encoder.eval()
    modes = [module.training for module in model.modules()]
    attention_probe(model, batch(model), loss)
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("rotary", [False, True])
def test_weights_of_heads_are_computed_where_the_rows_are(rotary: bool) -> None:
    layer = SelfAttention(8, 2, rotary=rotary).to("meta")
    found = layer.weights(torch.empty(4, 8, device="meta"), Rows.of(4, torch.tensor([4])))
    assert (found.device.type, found.shape) == ("meta", (2, 4, 4))


@pytest.mark.parametrize(
    ("encoder", "steps"),
    [
        ({"name": "chunked", "hidden_size": 8, "num_heads": 2, "chunk": 3, "ahead": 1, "left": 3}, 9),
        ({**ATTENTION, "num_layers": 1}, LONGEST + 1),
        ({**ATTENTION, "num_layers": 1}, 1),
    ],
    ids=["chunked", "long", "short"],
)
def test_heads_that_were_not_looked_at_are_not_said_to_be_missing(encoder: dict[str, Any], steps: int) -> None:
    model = SequenceModel({"features": 3, "labels": 2}, inputs="vectors", encoder=encoder, head="label")
    features = torch.randn(steps, 2, 3, generator=torch.Generator().manual_seed(0))
    given = Batch({"features": features}, torch.full((2,), steps), {}, ())
    found = attention_probe(model, given, lambda prediction, b: Loss(prediction.outputs["logits"].sum(), 2))
    assert judged_attention(found).evidence.startswith("no heads of attention were looked at, as they are in whole")


@pytest.mark.parametrize("steps", [0, 3])
def test_a_recurrent_layer_that_reads_no_step_is_not_said_to_be_missing(steps: int) -> None:
    encoder = {"name": "recurrent", "hidden_size": 4}
    model = SequenceModel({"features": 3, "labels": 2}, inputs="vectors", encoder=encoder, head="label")
    given = Batch({"features": torch.zeros(steps, 2, 3)}, torch.zeros(2, dtype=torch.int64), {}, ())
    found = Diagnosis((probe(model, given, lambda said, b: Loss(said.outputs["logits"].sum(), 2)),), trained=True)
    assert found.verdict.evidence.startswith("no row has a step, so the recurrent layers carry no gradient")
    assert report("t", found, (), "c.yaml").facts["recurrence"] == (
        "no row has a step, so the recurrent layers carry no gradient from step to step, and no such curve is drawn."
    )


def test_outputs_alone_are_judged_where_there_are_no_heads() -> None:
    model = SequenceModel(
        {"features": 3, "labels": 2}, inputs="vectors", encoder={"name": "dense", "sizes": [4]}, head="label"
    )
    features = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0))
    found = probe(
        model,
        Batch({"features": features}, LENGTHS, {}, ()),
        lambda prediction, b: Loss(prediction.outputs["logits"].sum(), 4),
    )
    assert found.attention is not None
    assert judged_attention(found.attention).evidence.startswith("there are no heads of attention; outputs differ")


def test_of_an_autoencoder_outputs_are_judged_and_no_nats_of_a_source() -> None:
    """Its loss may be a squared error, of scaled numbers however small: 0.01 of it says nothing."""
    names = ("features", "values", "code", "row", "steps", "parameters")
    sizes = dict(zip(names, (3, 3, 2, 3, 1, 1), strict=True)) | dict.fromkeys(("noisy", "variational", "shared"), 0)
    model = Autoencoder(sizes, encoder={"name": "dense", "sizes": [4]})
    features = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    batch = Batch({"features": features}, torch.ones(4, dtype=torch.int64), {}, ())
    found = probe(model, batch, lambda said, b: Loss(1e-3 * said.outputs["numbers"].square().sum(), 4)).attention
    assert found is not None
    assert found.unread is None
    numbers = model(batch).outputs["numbers"].detach().reshape(4, 3).double().numpy()
    away = ((numbers - numbers.mean(0)) ** 2).mean() ** 0.5 / (numbers**2).mean() ** 0.5
    assert found.spread == pytest.approx(away)


# -- whole runs --------------------------------------------------------------------------------------------------------


@pytest.fixture
def marked(here: Path) -> Path:
    """Texts whose label is the word behind a mark: a head has to find the mark."""
    draw = random.Random(0)
    rows = ["text,label"]
    for _ in range(200):
        words = [draw.choice("abcd") for _ in range(6)]
        place = draw.randrange(5)
        words[place] = "x" + words[place + 1]
        rows.append(f"{' '.join(words)},{words[place][1]}")
    Path("data.csv").write_text("\n".join(rows) + "\n")
    write_config(
        task={"name": "classification", "text": "text", "label": "label", "tokenizer": "spaces"},
        data={"train": "data.csv"},
        model={
            "inputs": {"embedding_size": 16},
            "encoder": {**ATTENTION, "hidden_size": 16, "num_layers": 1},
        },
        training={"epochs": 20, "batch_rows": 32, "optimizer": {"name": "adam", "lr": 0.01}},
    )
    return here


def test_a_healthy_run_is_silent_and_one_with_steps_too_large_is_not(marked: Path) -> None:
    said = done("doctor", "c.yaml", "--steps", 200, "--json").json
    assert said["verdict"]["word"] == "healthy"
    assert said["advice"] == []
    wild = ["training.optimizer.lr=1", "model.encoder.norm_first=false", "model.encoder.num_layers=4"]
    said = done("doctor", "c.yaml", "--steps", 200, *(f"--set={one}" for one in wild), "--json").json
    assert said["verdict"]["word"] == "one output"
    assert "training.schedule={name: inverse_sqrt, warmup: 0.1}" in [s for a in said["advice"] for s in a["settings"]]


def test_a_page_of_a_model_without_recurrence_says_so(marked: Path) -> None:
    shown = done("doctor", "c.yaml", "--steps", 4, "--html", "page.html").out
    assert "there is no recurrent layer" in shown
    assert "Heads of attention" in shown
    page = Path("page.html").read_text("utf-8")
    assert "Gradient carried back" not in page
    assert "Norm of the whole gradient" in page


def test_a_task_without_gradients_of_a_network_is_refused(here: Path) -> None:
    Path("t.txt").write_text("a b c d e f g\n" * 20)
    Path("c.yaml").write_text("task: {name: word_vectors, min_count: 1}\ndata: {train: t.txt}\n")
    assert "learns without the gradient of a network" in refused("doctor", "c.yaml")

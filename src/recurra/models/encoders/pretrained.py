"""BERT's encoder, which begins with weights that others have published, or as it is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError, DataError
from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.models.heads.choice import ChoiceHead
from recurra.models.heads.label import LabelHead
from recurra.models.heads.masked import MaskedHead
from recurra.models.heads.span import SpanHead
from recurra.models.heads.tags import TagsHead
from recurra.models.inputs.word_pieces import WordPieces
from recurra.models.published import (
    Architecture,
    Place,
    as_config,
    masked,
    places_of,
    read_architecture,
    read_names,
    read_tensors,
    stripped,
    write_folder,
)
from recurra.models.published.names import IGNORED
from recurra.nn import SteadyLinear
from recurra.nn.pool import Last
from recurra.nn.transformer import Rows, TransformerEncoderLayer
from recurra.nn.transformer.layers import ACTIVATIONS
from recurra.nn.transformer.whole import through

Family = Literal["bert", "distilbert", "roberta"]
# Named in an error or a note, at most.
SHOWN = 3
# Pieces of a window with which BERT answers questions about longer texts (Devlin et al. 2019,
# google-research/bert:README.md).
USUAL_WINDOW = 384


class Pretrained(nn.Module):
    """Post-norm layers of attention over all steps: x (T, N, hidden_size) to outputs (T, N, hidden_size).

    Devlin et al. 2019, arXiv:1810.04805. Nothing is computed for padding, and a text has the same bits alone and in any
    batch. The summary is that of the first piece, [CLS]; with a pooler tanh of a linear map of it.
    folder: a Hugging Face folder. What is not given here or under model.inputs is as its config.json says, and training
    begins with its weights; a run has both in its own folder, and reads this one no more.
    Raises ConfigError for options that cannot take effect.
    """

    def __init__(
        self,
        input_size: int,
        *,
        folder: Annotated[
            str | None,
            Opt(
                "folder with config.json, model.safetensors and vocab.txt or tokenizer.json, or a BERT as Google "
                "published it; null: none"
            ),
        ] = None,
        family: Annotated[Family, Opt("whose names the tensors have in such a folder")] = "bert",
        hidden_size: Annotated[int, Opt("numbers of a step; as model.inputs.embedding_size", ge=1, le=o.WIDEST)] = 128,
        num_layers: Annotated[int, Opt("layers of attention", ge=1, le=o.DEEPEST)] = 2,
        num_heads: Annotated[int, Opt("heads of attention; a divisor of hidden_size", ge=1, le=256)] = 2,
        feed_forward_size: Annotated[
            int | None, Opt("units of the feed-forward part; null: four times hidden_size", ge=1, le=o.WIDEST)
        ] = None,
        activation: Annotated[
            str, Opt("of the feed-forward part; gelu: by the error function", choices=ACTIVATIONS)
        ] = "gelu",
        norm_eps: Annotated[float, Opt("added to the variance in norms", gt=0, lt=1)] = 1e-12,
        pooler: Annotated[bool, Opt("a linear map and tanh over the first piece, for pooling: last")] = True,
        frozen_layers: Annotated[
            int, Opt("layers, from below, that keep their weights, and the inputs with them", ge=0, le=o.DEEPEST)
        ] = 0,
        redrawn_layers: Annotated[
            int,
            Opt(
                "layers, from the top, that begin as they are drawn and not as the folder or run has them, the pooler "
                "too (Zhang et al. 2021, arXiv:2006.05987)",
                ge=0,
                le=o.DEEPEST,
            ),
        ] = 0,
        dropout: Annotated[float, Opt("dropout behind each part", ge=0, lt=1)] = 0.1,
        attention_dropout: Annotated[float, Opt("dropout of the weights of attention", ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        if problems := _problems(input_size, hidden_size, num_layers, frozen_layers, redrawn_layers):
            raise ConfigError(problems)
        self.output_size, self.causal = hidden_size, False
        self.folder, self.family, self.frozen_layers = folder, family, frozen_layers
        self.redrawn_layers = redrawn_layers
        self.blocks = nn.ModuleList(
            TransformerEncoderLayer(
                hidden_size,
                num_heads,
                feed_forward_size or 4 * hidden_size,
                dropout,
                activation,
                norm_eps,
                attention_dropout=attention_dropout,
            )
            for _ in range(num_layers)
        )
        self.pooler = SteadyLinear(hidden_size, hidden_size) if pooler else None
        self._draw()
        for block in self.blocks[:frozen_layers]:
            block.requires_grad_(False)

    def _draw(self) -> None:
        """Weights as BERT begins: normal of deviation 0.02, biases 0; none of a model without memory."""
        for name, parameter in self.named_parameters():
            if name.endswith("weight") and parameter.dim() == 2 and not parameter.is_meta:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias") and not parameter.is_meta:
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        return self.above(self.below(x, lengths) if self.frozen_layers else x, lengths)

    def below(self, x: Tensor, lengths: Tensor) -> Tensor:
        """What the frozen layers say (T, N, d), zero where padded."""
        with torch.no_grad():
            return self._through(list(self.blocks)[: self.frozen_layers], x, lengths)

    def above(self, x: Tensor, lengths: Tensor) -> Encoded:
        """What the other layers make of it."""
        outputs = self._through(list(self.blocks)[self.frozen_layers :], x, lengths)
        return Encoded(outputs, lengths, self._summary(outputs), {})

    def _through(self, blocks: Iterable[nn.Module], x: Tensor, lengths: Tensor) -> Tensor:
        rows = Rows.of(len(x), lengths)
        return rows.padded(through(blocks, rows.packed(x), rows))

    def _summary(self, outputs: Tensor) -> Tensor:
        """(N, M): of the first step; of no steps zero."""
        first = outputs[0] if len(outputs) else outputs.new_zeros(outputs.shape[1:])
        return first if self.pooler is None else torch.tanh(self.pooler(first))

    def train(self, mode: bool = True) -> Pretrained:
        """Frozen layers have no dropout."""
        super().train(mode)
        for block in self.blocks[: self.frozen_layers]:
            block.train(False)
        return self

    def state_sizes(self) -> Mapping[str, int]:
        return {}

    def incremental(self) -> Step:
        raise ConfigError(self.cannot_stream())

    def ends(self) -> Ends:
        return Ends({}, 0, self.output_size)

    @property
    def kept_layers(self) -> int:
        """Layers, from below, that begin with weights from elsewhere."""
        return len(self.blocks) - self.redrawn_layers

    def layers(self) -> list[Layer]:
        return [dict(block.named_parameters()) for block in self.blocks]

    def cannot_stream(self) -> list[str]:
        return ["name: pretrained sees all of a text in each step; take recurrent, or transformer with causal: true."]

    # -- published weights -----------------------------------------------------------------------------------------

    @classmethod
    def implies(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a config means that names a folder: options of this encoder, of the inputs, of a task that reads texts,
        and a rate of learning at which published weights are not lost. Raises ConfigError for a folder that is none."""
        inputs: dict[str, Any] = {"name": "word_pieces"}
        if options.get("frozen_layers"):
            inputs["frozen"] = True
        folder = options.get("folder")
        if (
            not isinstance(folder, str)
            or {"family", "hidden_size", "num_layers", "num_heads", "pooler"} <= options.keys()
        ):
            return {"model": {"inputs": inputs}}
        found = read_architecture(Path(folder))
        names = stripped(read_names(Path(folder)))
        pooler = "pooler.dense.weight" in names
        inputs |= {
            "embedding_size": found.hidden_size,
            "num_pieces": found.num_pieces,
            "max_positions": found.longest,
            "first_position": found.first_position,
            "num_segments": found.num_segments,
            "norm_eps": found.norm_eps,
            "embedding_dropout": found.dropout,
        }
        own = {
            "family": found.family,
            "hidden_size": found.hidden_size,
            "num_layers": found.num_layers,
            "num_heads": found.num_heads,
            "feed_forward_size": found.feed_forward_size,
            "activation": found.activation,
            "norm_eps": found.norm_eps,
            "pooler": pooler,
            "dropout": found.dropout,
            "attention_dropout": found.attention_dropout,
        }
        return {
            "model": {
                "inputs": inputs,
                "encoder": own,
                "head": {"name": "masked", "activation": found.activation, "norm_eps": found.norm_eps},
            },
            "task": (
                {"pieces": folder, "max_pieces": found.longest},
                {"pieces": folder, "window": min(found.longest, USUAL_WINDOW)},
                {"tokenizer": {"name": "pretrained", "folder": folder}, "max_length": found.longest},
            ),
            "training": {"optimizer": {"name": "adamw", "lr": 5e-5}, "schedule": {"name": "linear", "warmup": 0.1}},
        }

    def begin(self, inputs: nn.Module, head: nn.Module | None = None) -> str:
        """Put the folder's weights into this encoder, its inputs and a head that tells hidden pieces, in place.

        Returns a sentence on what was taken.

        "" where there is no folder. Raises DataError for tensors that are missing or of another shape, by their names.
        """
        if self.folder is None:
            return ""
        if not isinstance(inputs, WordPieces):
            raise ConfigError(
                "model.inputs: an encoder pretrained with a folder needs word_pieces; leave model.inputs out."
            )
        where = Path(self.folder)
        tensors = read_tensors(where)
        names = stripped(tensors)
        places = self.places(inputs)
        if missing := [name for name in places if name not in names]:
            raise DataError(f"{where}: lacks {_listed(missing)}, expected every tensor of the encoder.")
        own = self.redrawn()
        for name, place in places.items():
            if place.part == "encoder" and place.name.startswith(own):
                continue
            ours, theirs = place.of(_tensor(self, inputs, place)), tensors[names[name]]
            if ours.shape != theirs.shape:
                raise DataError(
                    f"{where}: {names[name]} has the shape {tuple(theirs.shape)}, and the config there makes it "
                    f"{tuple(ours.shape)}."
                )
            with torch.no_grad():
                ours.copy_(theirs)
        known: set[str] = {*places, *IGNORED}
        told = ""
        if isinstance(head, MaskedHead):
            told = masked.taken(head, self.family, tensors, names, where)
            known |= {*masked.names_of(head, self.family)}
        extra = [real for name, real in names.items() if name not in known]
        told += f" The upper {self.redrawn_layers} layers begin as they are drawn." if own else ""
        more = f" Left out, as no part of the encoder: {_listed(extra)}." if extra else ""
        if unread := len(read_names(where)) - len(tensors):
            more += f" {unread:,} tensors that its optimizer kept (adam_m, adam_v, global_step) are not read."
        return f"model.encoder.folder: {where}: {len(places)} tensors are the encoder's first weights.{told}{more}"

    def redrawn(self) -> tuple[str, ...]:
        """How the names of parameters begin that stay as they are drawn."""
        if not self.redrawn_layers:
            return ()
        return ("pooler.", *(f"blocks.{number}." for number in range(self.kept_layers, len(self.blocks))))

    def publish(
        self, path: Path, inputs: nn.Module, head: nn.Module, labels: Sequence[str], files: Mapping[str, str], pad: int
    ) -> str:
        """Write a Hugging Face folder; a sentence on what stands in it.

        A head goes with it where `transformers` has the same one: of labels over the pooler (pooling: last), in BERT;
        of tags without a CRF; of hidden pieces. files: of the tokenizer      pad: the number of its padding
        Raises ConfigError for inputs of another kind, RunError for a folder that holds such files.
        """
        if not isinstance(inputs, WordPieces):
            raise ConfigError("export: --transformers needs inputs of word_pieces, as an encoder pretrained has them.")
        tensors = {n: p.of(_tensor(self, inputs, p)) for n, p in self.places(inputs).items()}
        kind, more, left_out = published_head(head, self.family, pooler=self.pooler is not None)
        if isinstance(head, MaskedHead) and not self._alike(head):
            kind, more, left_out = "", {}, ()
        if kind:
            tensors = {f"{self.family}.{name}": tensor for name, tensor in tensors.items()}
            for name in left_out:
                tensors.pop(f"{self.family}.{name}", None)
        word = {"bert": "Bert", "distilbert": "DistilBert", "roberta": "Roberta"}[self.family]
        config = as_config(self._architecture(inputs), f"{word}{kind or 'Model'}", pad)
        if kind:
            named = {"id2label": dict(enumerate(labels)), "label2id": {label: k for k, label in enumerate(labels)}}
            config |= named
        write_folder(path, {**tensors, **more}, config, files)
        what = f"{word}{kind}" if kind else f"{word}Model, the encoder alone: transformers has no such head"
        return f"{path}: {len(tensors) + len(more)} tensors of a {what}."

    def _alike(self, head: MaskedHead) -> bool:
        """Whether a head has the function and the norm that a config says for encoder and head together."""
        block = self.blocks[0]
        assert isinstance(block, TransformerEncoderLayer)
        word = "gelu" if self.family == "roberta" else block.word
        return head.word == word and head.norm.eps == block.norm1.eps

    def _architecture(self, inputs: WordPieces) -> Architecture:
        block = self.blocks[0]
        assert isinstance(block, TransformerEncoderLayer)
        return Architecture(
            self.family,
            inputs.words.num_embeddings,
            self.output_size,
            len(self.blocks),
            block.self_attn.num_heads,
            block.linear1.out_features,
            block.word,
            inputs.positions.num_embeddings,
            inputs.first,
            0 if inputs.segments is None else inputs.segments.num_embeddings,
            inputs.norm.eps,
            block.dropout.p,
            block.self_attn.dropout,
        )

    def places(self, inputs: nn.Module) -> dict[str, Place]:
        """Where the tensors of a folder belong."""
        segments = isinstance(inputs, WordPieces) and inputs.segments is not None
        return places_of(self.family, len(self.blocks), segments=segments, pooler=self.pooler is not None)


def published_head(head: nn.Module, family: str, *, pooler: bool) -> tuple[str, dict[str, Tensor], tuple[str, ...]]:
    """What `transformers` calls a model with such a head, the head's tensors, and encoder tensors that are part of it.

    ("", {}, ()) where it has none.
    """
    if isinstance(head, LabelHead | ChoiceHead) and isinstance(head.pool, Last) and pooler and family == "bert":
        kind = "ForMultipleChoice" if isinstance(head, ChoiceHead) else "ForSequenceClassification"
        return kind, _linear("classifier", head.output), ()
    if isinstance(head, TagsHead) and head.crf is None:
        return (
            "ForTokenClassification",
            _linear("classifier", head.output),
            ("pooler.dense.weight", "pooler.dense.bias"),
        )
    if isinstance(head, SpanHead):
        return "ForQuestionAnswering", _linear("qa_outputs", head.output), ("pooler.dense.weight", "pooler.dense.bias")
    if isinstance(head, MaskedHead):
        tensors = masked.tensors_of(head, family)
        if head.pair is not None and pooler and family == "bert":
            return "ForPreTraining", tensors, ()
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(masked.PAIR)}
        return "ForMaskedLM", tensors, ("pooler.dense.weight", "pooler.dense.bias")
    return "", {}, ()


def _linear(name: str, layer: nn.Linear) -> dict[str, Tensor]:
    return {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}


def _problems(input_size: int, hidden_size: int, num_layers: int, frozen_layers: int, redrawn_layers: int) -> list[str]:
    found = []
    if input_size != hidden_size:
        found.append(f"hidden_size: is {hidden_size}, and the inputs have {input_size} numbers; make them equal.")
    if frozen_layers > num_layers:
        found.append(f"frozen_layers: is {frozen_layers}, and there are {num_layers} layers; expected at most that.")
    if redrawn_layers > num_layers - min(frozen_layers, num_layers):
        found.append(
            f"redrawn_layers: is {redrawn_layers}, and {num_layers - min(frozen_layers, num_layers)} of {num_layers} "
            "layers learn; expected at most that."
        )
    return found


def _tensor(encoder: nn.Module, inputs: nn.Module, place: Place) -> Tensor:
    return (inputs if place.part == "inputs" else encoder).get_parameter(place.name)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

"""A source to a target of another length: encoder, bridge, decoder, with or without attention."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.cells import CELLS
from recurra.models import options as o
from recurra.models.decoder import DecoderState
from recurra.models.encoder import Encoded, Encoder, StateSizes
from recurra.models.parts import DecoderOptions, make_decoder
from recurra.nn import Embedding, Recurrent
from recurra.nn.merge import MERGES


class Seq2Seq(nn.Module):
    """Source tokens (T, N) to what a decoder says of them, token by token.

    num_source, num_target: sizes of the vocabularies
    Sources: Sutskever et al. 2014, arXiv:1409.3215; Cho et al. 2014, arXiv:1406.1078; Bahdanau et al. 2015,
    arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025; See et al. 2017, arXiv:1704.04368 (coverage, copying).
    Raises ConfigError, with all problems at once, for options that cannot take effect together.
    """

    def __init__(
        self,
        num_source: int,
        num_target: int,
        *,
        embedding_size: o.EmbeddingSize = 128,
        cell: Annotated[str, Opt("recurrent cell; `recurra explain cell` shows each", choices=CELLS)] = "lstm",
        hidden_size: Annotated[int, Opt("units per layer and direction of the encoder", ge=1, le=o.WIDEST)] = 128,
        num_layers: Annotated[int, Opt("recurrent layers of the encoder", ge=1, le=o.DEEPEST)] = 1,
        bidirectional: Annotated[bool, Opt("read the source in both directions")] = True,
        merge: Annotated[str, Opt("how two directions become one output", choices=MERGES)] = "concat",
        proj_size: Annotated[
            int, Opt("units after the encoder's projection, for lstm_projected", ge=0, le=o.WIDEST)
        ] = 0,
        reverse_source: Annotated[bool, Opt("read the source from its end (Sutskever et al. 2014)")] = False,
        decoder_cell: o.DecoderCell = None,
        decoder_size: o.DecoderSize = None,
        decoder_layers: o.DecoderLayers = None,
        decoder_proj_size: o.DecoderProjection = 0,
        bridge: o.Bridge = "tanh",
        attention: o.Attention = "additive",
        style: o.StyleOption = None,
        input_feeding: o.InputFeeding = False,
        readout: o.Readout = None,
        readout_size: o.ReadoutSize = None,
        copying: Annotated[
            bool, Opt("copy source tokens, by a pointer; for words that are rare (See et al. 2017)")
        ] = False,
        tie: Annotated[
            o.Tie, Opt("one table for target vectors and output layer; all: for source vectors too (Press & Wolf 2017)")
        ] = "none",
        scheduled_sampling: o.Sampling = None,
        embedding_dropout: o.EmbeddingDropout = 0.0,
        dropout: o.Dropout = 0.0,
        variational_dropout: o.VariationalDropout = 0.0,
        zoneout: o.Zoneout = 0.0,
        output_dropout: o.OutputDropout = 0.0,
        init: o.Init = "torch",
        forget_bias: o.ForgetBias = None,
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        decoder = DecoderOptions(
            embedding_size=embedding_size,
            cell=decoder_cell or cell,
            size=decoder_size or hidden_size,
            layers=decoder_layers or num_layers,
            proj_size=decoder_proj_size,
            bridge=bridge,
            attention=attention,
            style=style,
            input_feeding=input_feeding,
            readout=readout,
            readout_size=readout_size,
            copying=copying,
            tied=tie != "none",
            sampling=scheduled_sampling,
            embedding_dropout=embedding_dropout,
            dropout=dropout,
            variational_dropout=variational_dropout,
            zoneout=zoneout,
            output_dropout=output_dropout,
            init=init,
            forget_bias=forget_bias,
            backend=backend,
        )
        problems = decoder.problems()
        if reverse_source and bidirectional:
            problems.append("reverse_source: has no effect with bidirectional, which reads both ways; leave one out.")
        if tie == "all" and num_source != num_target:
            problems.append(
                f"tie: all needs one vocabulary for both sides, and they have {num_source} and {num_target} tokens; "
                "share the vocabulary, or use target."
            )
        if dropout and num_layers == 1 and decoder.layers == 1:
            problems.append("dropout: acts between layers, and neither side has two; use output_dropout, or 0.")
        if problems:
            raise ConfigError(problems)
        embedding = Embedding(num_target, embedding_size)
        self.encoder = Encoder(
            embedding if tie == "all" else Embedding(num_source, embedding_size),
            Recurrent(
                embedding_size,
                hidden_size,
                num_layers,
                dropout=dropout if num_layers > 1 else 0.0,
                bidirectional=bidirectional,
                proj_size=proj_size,
                cell=cell,
                merge=merge,
                variational_dropout=variational_dropout,
                zoneout=zoneout,
                init=init,
                forget_bias=forget_bias,
                backend=backend,
            ),
            dropout=embedding_dropout,
            reverse=reverse_source,
        )
        self.decoder = make_decoder(embedding, self.encoder.sizes, decoder)

    def forward(self, batch: Batch) -> Prediction:
        """Teacher forcing: for each target token that is read, what should come next.

        batch: inputs["source"] (T, N), lengths (N,), inputs["target"] (S, N), inputs["target_lengths"] (N,), and with
        copying inputs["source_copy"] (T, N): each source token's number in the target vocabulary, or, if it is not in
        it, num_target + k for the k-th such word of its own source. Such numbers may stand in the target too.
        outputs: "hidden" (S, N, D), "weight" (V, D), "bias" (V,), whose product is the logits; with copying instead
        "log_probs" (S, N, V'), where V' is V and the most words that a source of the batch adds;
        "attention" (S, N, T) if there is any, "coverage_loss" (S, N) if it reads its coverage (See et al., eq. 12).
        What stands beyond the lengths may be anything, and so are outputs there.
        """
        encoded = self.encoder(batch.inputs["source"], batch.lengths)
        target, lengths = batch.inputs["target"], batch.inputs["target_lengths"]
        return Prediction(self.decoder(encoded, target, lengths, batch.inputs.get("source_copy")))

    def start(self, batch: Batch) -> DecoderState:
        """The decoder's state before its first step: the source is encoded, once."""
        encoded = self.encoder(batch.inputs["source"], batch.lengths)
        return self.decoder.start(encoded, batch.inputs.get("source_copy"))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Log-probabilities (B, V) of the tokens after `tokens` (B,), and the state after them. Never any dropout."""
        found: tuple[Tensor, DecoderState] = self.decoder.step(tokens, state)
        return found

    def select(self, state: DecoderState, rows: Tensor) -> DecoderState:
        """The rows (K,) of the state, in this order; a row may come several times, or not at all."""
        return state.select(rows)


class FromVector(nn.Module):
    """A vector, or a label, to a target sequence: the same decoder without an encoder (one to many).

    num_inputs: numbers in the vector inputs["features"] (N, F), or labels of inputs["label"] (N,), as `source` says
    num_target: size of the vocabulary
    Raises ConfigError, with all problems at once, for options that cannot take effect together.
    """

    def __init__(
        self,
        num_inputs: int,
        num_target: int,
        *,
        source: Annotated[str, Opt("what a target is made from", choices=("features", "label"))] = "features",
        embedding_size: o.EmbeddingSize = 128,
        cell: Annotated[str, Opt("recurrent cell; `recurra explain cell` shows each", choices=CELLS)] = "lstm",
        hidden_size: Annotated[int, Opt("units of a layer", ge=1, le=o.WIDEST)] = 128,
        num_layers: Annotated[int, Opt("recurrent layers", ge=1, le=o.DEEPEST)] = 1,
        proj_size: Annotated[int, Opt("units after the projection, for lstm_projected", ge=0, le=o.WIDEST)] = 0,
        bridge: o.Bridge = "tanh",
        style: o.StyleOption = None,
        readout: o.Readout = None,
        readout_size: o.ReadoutSize = None,
        tie: Annotated[bool, Opt("one table for target vectors and output layer (Press & Wolf 2017)")] = False,
        scheduled_sampling: o.Sampling = None,
        embedding_dropout: o.EmbeddingDropout = 0.0,
        dropout: o.Dropout = 0.0,
        variational_dropout: o.VariationalDropout = 0.0,
        zoneout: o.Zoneout = 0.0,
        output_dropout: o.OutputDropout = 0.0,
        init: o.Init = "torch",
        forget_bias: o.ForgetBias = None,
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        decoder = DecoderOptions(
            embedding_size=embedding_size,
            cell=cell,
            size=hidden_size,
            layers=num_layers,
            proj_size=proj_size,
            bridge=bridge,
            attention="none",
            style=style,
            input_feeding=False,
            readout=readout,
            readout_size=readout_size,
            copying=False,
            tied=tie,
            sampling=scheduled_sampling,
            embedding_dropout=embedding_dropout,
            dropout=dropout,
            variational_dropout=variational_dropout,
            zoneout=zoneout,
            output_dropout=output_dropout,
            init=init,
            forget_bias=forget_bias,
            backend=backend,
        )
        problems = decoder.problems()
        if dropout and num_layers == 1:
            problems.append("dropout: acts between layers, and there is one; use output_dropout, or 0.")
        if problems:
            raise ConfigError(problems)
        self.labels = nn.Embedding(num_inputs, embedding_size) if source == "label" else None
        width = num_inputs if self.labels is None else embedding_size
        self.decoder = make_decoder(
            Embedding(num_target, embedding_size), StateSizes({"h": width}, 1, 0, width), decoder
        )

    def forward(self, batch: Batch) -> Prediction:
        """Teacher forcing, as `Seq2Seq.forward`, from inputs["features"] or inputs["label"]."""
        target, lengths = batch.inputs["target"], batch.inputs["target_lengths"]
        return Prediction(self.decoder(self._encoded(batch), target, lengths))

    def start(self, batch: Batch) -> DecoderState:
        """The decoder's state before its first step."""
        return self.decoder.start(self._encoded(batch))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """As `Seq2Seq.step`."""
        found: tuple[Tensor, DecoderState] = self.decoder.step(tokens, state)
        return found

    def select(self, state: DecoderState, rows: Tensor) -> DecoderState:
        """As `Seq2Seq.select`."""
        return state.select(rows)

    def _encoded(self, batch: Batch) -> Encoded:
        vector = batch.inputs["features"] if self.labels is None else self.labels(batch.inputs["label"])
        return Encoded(None, None, {"h": vector.unsqueeze(0)}, vector)

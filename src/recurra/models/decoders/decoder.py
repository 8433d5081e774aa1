"""A decoder: any cell, stacked, with or without attention, for one step or for all.

style       where the source enters                         step    one token after another, states carried
sutskever   first states only                               cho     one context, at every step
bahdanau    attention by s_{i-1}, its context into the cell  luong   attention by h_t, after the cell
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from recurra.base.registry import Registry
from recurra.data.tokenizers.vocabulary import UNK
from recurra.engine.kept_plan import KeptPlan
from recurra.engine.memory import in_order
from recurra.engine.recurrent_decoder import (
    Feeds,
    RecurrentDecoderNumbers,
    RecurrentDecoderPlan,
    RowsAfter,
    RowsBefore,
    is_here,
)
from recurra.engine.transformer import LinearNumbers, OutputPlan, can_step, has_output
from recurra.models.contract import Encoded
from recurra.models.decoders.packed_recurrent import PackedSteps, fit_together, numbers_of
from recurra.nn import Embedding, Recurrent, SteadyLinear
from recurra.nn.attention import Attends, Memory
from recurra.nn.incremental import IncrementalRNN
from recurra.nn.transformer.hooks import is_hooked
from recurra.nn.unroll import Unrolled

States = tuple[tuple[Tensor, ...], ...]


@dataclass(frozen=True, slots=True)
class Style:
    """Where the source enters. attends: before the cell, after it, or never; readout: the paper's."""

    doc: str
    attends: Literal["before", "after"] | None
    repeats_summary: bool
    readout: str


STYLES: Registry[Style] = Registry("style")
STYLES.add(
    "sutskever", Style("the first states are all the decoder gets (Sutskever et al. 2014)", None, False, "state")
)
STYLES.add("cho", Style("one context vector, at every step (Cho et al. 2014)", None, True, "maxout"))
STYLES.add(
    "bahdanau", Style("attention before the cell, context into it (Bahdanau et al. 2015)", "before", False, "maxout")
)
STYLES.add("luong", Style("attention after the cell (Luong et al. 2015)", "after", False, "tanh"))


@dataclass(frozen=True, slots=True)
class DecoderState:
    """Everything the decoder carries from step to step, N rows of it.

    states:   by layer and state, (N, width)           position: steps done so far
    memory:   what attention looks at                  source: (N,) which row of the encoded batch each row reads
    summary:  (N, M), fed at every step in style cho   fed: (N, D), the last readout, with input feeding
    coverage: (N, T), attention so far                 copies: (N, T), the source's tokens as target tokens
    num_tokens: size of the vocabulary, with what this batch adds to it by copying
    cells, output: packed weights for steps without gradients
    packed:   what takes such steps in one native call. Then memory and summary stay those of the sources, and
    parents:  (N,) are the rows of states, source and fed that this state's rows are, None: the same ones
    """

    states: States
    position: int
    source: Tensor
    num_tokens: int
    memory: Memory | None = None
    summary: Tensor | None = None
    fed: Tensor | None = None
    coverage: Tensor | None = None
    copies: Tensor | None = None
    cells: IncrementalRNN | None = None
    output: OutputPlan | None = None
    packed: PackedSteps | None = None
    parents: Tensor | None = None

    def select(self, rows: Tensor) -> DecoderState:
        """The rows (K,) of the batch, in this order; a row may come several times, or not at all."""
        if self.packed is not None:  # the next step moves them
            return replace(self, parents=rows if self.parents is None else self.parents[rows])
        source = self.source[rows]
        # A beam reorders the hypotheses of one sentence most of the time, and then the memory stays where it is.
        same = source.shape == self.source.shape and torch.equal(source, self.source)
        return replace(
            self,
            states=tuple(tuple(s[rows] for s in layer) for layer in self.states),
            source=source,
            memory=self.memory if same or self.memory is None else self.memory.select(rows),
            summary=self.summary if same else _rows(self.summary, rows),
            fed=_rows(self.fed, rows),
            coverage=_rows(self.coverage, rows),
            copies=self.copies if same else _rows(self.copies, rows),
        )

    @property
    def rows(self) -> RowsBefore:
        """What a native step goes on from."""
        return RowsBefore(self.states, self.source, self.fed, self.parents)

    def after(self, rows: RowsAfter) -> DecoderState:
        """The state with the rows that a native step has left."""
        fed = None if self.fed is None else rows.readout
        return replace(self, states=rows.states, source=rows.source, fed=fed, parents=None, position=self.position + 1)

    def unpacked(self) -> DecoderState:
        """The same, each row with what it reads of its source, for steps part by part."""
        if self.packed is None:
            return self
        parents = torch.arange(len(self.source)) if self.parents is None else self.parents
        source = self.source[parents]
        return replace(
            self,
            states=tuple(tuple(s[parents] for s in layer) for layer in self.states),
            source=source,
            memory=None if self.memory is None else self.memory.select(source),
            summary=_rows(self.summary, source),
            fed=_rows(self.fed, parents),
            packed=None,
            parents=None,
        )

    def first(self, n: int) -> DecoderState:
        """The first n rows, as views."""
        if n == len(self.source):
            return self
        return replace(
            self,
            states=tuple(tuple(s[:n] for s in layer) for layer in self.states),
            source=self.source[:n],
            memory=None if self.memory is None else self.memory.first(n),
            summary=_head(self.summary, n),
            fed=_head(self.fed, n),
            coverage=_head(self.coverage, n),
            copies=_head(self.copies, n),
        )


def _rows(tensor: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if tensor is None else tensor[rows]


def _head(tensor: Tensor | None, n: int) -> Tensor | None:
    return None if tensor is None else tensor[:n]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one step, or all, saw: state h, token vector x, context and weights of attention, coverage loss, readout."""

    h: Tensor
    x: Tensor
    context: Tensor | None = None
    weights: Tensor | None = None
    repeated: Tensor | None = None
    readout: Tensor | None = None

    def first(self, n: int) -> Seen:
        """The first n rows, as views."""
        return Seen(self.h[:n], self.x[:n], *(_head(a, n) for a in self._others()))

    @classmethod
    def joined(cls, steps: Sequence[Seen]) -> Seen:
        """What all steps saw, packed: the rows of the first step, then those of the second, and so on."""
        others = zip(*(step._others() for step in steps), strict=True)
        return cls(
            torch.cat([step.h for step in steps]),
            torch.cat([step.x for step in steps]),
            *(None if column[0] is None else torch.cat(column) for column in others),
        )

    def _others(self) -> tuple[Tensor | None, ...]:
        return self.context, self.weights, self.repeated, self.readout


class _Live:
    """The rows of a batch that still have steps to take: longest first, so that at each step they are the first ones.

    order:   (N,), the rows of the batch by length, equal ones as they came
    heights: of each step, how many rows are live; all N at the first one, even those of length 0
    owners, places: (R,), which row of the batch, and which of all S * N, each live row of all steps is, packed
    """

    def __init__(self, lengths: Tensor, num_steps: int) -> None:
        lengths = lengths.clamp(min=1)
        self.order = torch.argsort(lengths, descending=True, stable=True)
        live = torch.arange(num_steps, device=lengths.device).unsqueeze(1) < lengths[self.order]
        heights: list[int] = live.sum(1).tolist()
        self.heights = [n for t, n in enumerate(heights) if n or not t]
        step, rank = live.nonzero(as_tuple=True)
        self.owners = self.order[rank]
        self.places = step * len(lengths) + self.owners
        self._shape = live.shape

    def packed(self, batch: Tensor) -> Tensor:
        """The live rows (R, ...) of (S, N, ...)."""
        return batch.flatten(0, 1).index_select(0, self.places)

    def placed(self, packed: Tensor) -> Tensor:
        """(S, N, ...) of the live rows (R, ...); zeros where a row has ended."""
        everywhere = packed.new_zeros(self._shape.numel(), *packed.shape[1:])
        return everywhere.index_copy(0, self.places, packed).view(*self._shape, *packed.shape[1:])


class Cells(Protocol):
    """One step of the recurrent layers, from what is fed beside the token, and the states."""

    def __call__(self, x: Tensor, fed: Tensor | None, states: Sequence[tuple[Tensor, ...]], /) -> States: ...


class Decoder(nn.Module):
    """Tokens and an encoded source to what the output layer reads, and on to log-probabilities.

    embedding, recurrent, bridge, attention, readout: its parts; recurrent's input is the token's vector and, after it,
    what the style feeds: the context, the summary, or the last readout
    output:   linear, from the readout to the vocabulary      gate: linear, from [context; h; x] to the copy switch
    sampling: from the number of updates to the probability of a true token
    """

    updates: Tensor

    def __init__(
        self,
        *,
        style: Style,
        embedding: Embedding,
        recurrent: Recurrent,
        bridge: nn.Module,
        attention: Attends | None,
        readout: nn.Module,
        output: nn.Linear,
        gate: nn.Linear | None,
        input_feeding: bool,
        sampling: Callable[[int], float] | None,
        embedding_dropout: float,
        output_dropout: float,
    ) -> None:
        super().__init__()
        self.style = style
        self.embedding = embedding
        self.recurrent = recurrent
        self.bridge = bridge
        self.attention = attention
        self.readout = readout
        self.output = output
        self.gate = gate
        self.input_feeding = input_feeding
        self.sampling = sampling
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.output_dropout = nn.Dropout(output_dropout)
        self.kept_plan: KeptPlan[OutputPlan | RecurrentDecoderPlan] = KeptPlan()
        if sampling is not None:  # saved with the weights, so that a resumed run goes on where it was
            self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    # -- all steps: training and scoring -----------------------------------------------------------------------------

    def forward(
        self, encoded: Encoded, tokens: Tensor, lengths: Tensor, copies: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The named outputs of a model, under teacher forcing with tokens (S, N), lengths (N,) of them real.

        copies: (T, N), the source's tokens as target tokens, with the copy switch
        Of no steps at all (0, N) the outputs are empty, and every gradient is zero.
        """
        if torch.is_grad_enabled():
            self.kept_plan.drop()
        lengths, num_steps = lengths.to(tokens.device), len(tokens)
        # Where there is no step one is taken and left out: it knows the shapes, and what has a gradient.
        tokens = _clean(tokens if num_steps else tokens.new_zeros(1, tokens.shape[1]), lengths)
        first = self._first(encoded, copies)
        truth = self._truth()
        if truth < 1 or self.style.attends == "before" or self.input_feeding:
            found = self._one_by_one(first, tokens, lengths, truth)
        else:
            found = self._at_once(first, tokens, lengths)
        found = found if num_steps else {name: value[:0] for name, value in found.items()}
        return found if self.gate is not None else found | {"weight": self.output.weight, "bias": self.output.bias}

    def _truth(self) -> float:
        """The probability of a true token at this update; 1 outside of training."""
        if self.sampling is None or not self.training:
            return 1.0
        return self.sampling(int(self.updates))

    def updated(self) -> None:
        """One more update is done: the schedule's place."""
        if self.sampling is not None:
            self.updates += 1

    def _at_once(self, first: DecoderState, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Nothing feeds back: the layers run over all steps in one fused call, and attention sees all their outputs."""
        x = self._vectors(tokens)
        summary = None if first.summary is None else first.summary.expand(len(x), -1, -1)
        states = tuple(torch.stack(column) for column in zip(*first.states, strict=True))
        h, _ = self.recurrent(_joined(x, summary), states if len(states) > 1 else states[0], lengths=lengths)
        if self.attention is None or first.memory is None:
            return self._said(Seen(h, x, summary), first)
        if self.attention.covers:
            live = _Live(lengths, len(tokens))
            seen = self._covering(first.select(live.order), live.packed(h), live.packed(x), live.heights)
            return self._said_live(seen, first, live)
        context, weights = self.attention.attend(h, first.memory)
        return self._said(Seen(h, x, context, weights), first)

    def _covering(self, steps: DecoderState, h: Tensor, x: Tensor, heights: Sequence[int]) -> list[Seen]:
        """Attention of all steps, one by one, since each reads how much the ones before attended to; h, x packed."""
        seen = []
        for h_t, x_t in zip(torch.split(h, list(heights)), torch.split(x, list(heights)), strict=True):
            context, weights, repeated, steps = self._attend(h_t, steps.first(len(h_t)))
            seen.append(Seen(h_t, x_t, context, weights, repeated))
            steps = replace(steps, position=steps.position + 1)
        return seen

    def _one_by_one(self, first: DecoderState, tokens: Tensor, lengths: Tensor, truth: float) -> dict[str, Tensor]:
        """One step after another, since the next one needs what the last one saw or said."""
        live = _Live(lengths, len(tokens))
        seen = self._steps(first.select(live.order), live.packed(tokens), live.heights, truth)
        return self._said_live(seen, first, live)

    def _steps(self, steps: DecoderState, tokens: Tensor, heights: Sequence[int], truth: float) -> list[Seen]:
        """What each step saw, of tokens (R,), packed: a row whose target has ended takes no further step."""
        forced, x = truth >= 1, self._vectors(tokens)
        unrolled = Unrolled(self.recurrent, x if forced else x[..., :0], heights)
        vectors, true = torch.split(x, list(heights)), torch.split(tokens, list(heights))
        seen: list[Seen] = []
        for t, n in enumerate(heights):
            steps = steps.first(n)
            now = vectors[t] if forced or not t else self._own_or_true(true[t], seen[-1].first(n), steps, truth)

            def cells(x: Tensor, fed: Tensor | None, states: Sequence[tuple[Tensor, ...]], t: int = t) -> States:
                return unrolled.step(t, fed if forced else _joined(x, fed), states)

            one, steps = self._step(now, steps, cells)
            seen.append(one)
        unrolled.finish()
        return seen

    def _own_or_true(self, true: Tensor, seen: Seen, steps: DecoderState, truth: float) -> Tensor:
        """Vectors (N, E) of the true tokens (N,), each with probability `truth`, and else of one that the model says.

        The model's is drawn from its own distribution; no gradient goes through the choice.
        """
        with torch.no_grad():
            probabilities = self._log_probs(self._read(seen), seen, steps).exp()
            own = torch.multinomial(probabilities, 1).squeeze(1)
            keep = torch.rand(true.shape, dtype=torch.float32, device=true.device) < truth
        return self._vectors(torch.where(keep, true, own))

    def _vectors(self, tokens: Tensor) -> Tensor:
        """Token vectors under dropout."""
        vectors: Tensor = self.embedding_dropout(self.embedding(self._known(tokens)))
        return vectors

    def _said(self, seen: Seen, steps: DecoderState) -> dict[str, Tensor]:
        """The named outputs that each token has, in the shape of what was seen: (S, N, ...), or packed."""
        found = {} if seen.weights is None else {"attention": seen.weights}
        if seen.repeated is not None:
            found["coverage_loss"] = seen.repeated
        hidden = self.output_dropout(self._read(seen))
        if self.gate is not None:
            return found | {"log_probs": self._log_probs(hidden, seen, steps)}
        return found | {"hidden": hidden}

    def _said_live(self, seen: Sequence[Seen], first: DecoderState, live: _Live) -> dict[str, Tensor]:
        """The same of what the live rows saw step by step, in the batch's order, with zeros where a row has ended."""
        said = self._said(Seen.joined(seen), replace(first, copies=_rows(first.copies, live.owners)))
        return {name: live.placed(packed) for name, packed in said.items()}

    # -- one step: decoding ------------------------------------------------------------------------------------------

    def start(self, encoded: Encoded, copies: Tensor | None = None) -> DecoderState:
        """The state before the first step. Without gradients, weights are packed here, or still are, if they are those
        of the search before."""
        first, cells = self._first(encoded, copies), IncrementalRNN(self.recurrent)
        packed = self._packed(first, cells)
        if packed is not None:
            return replace(first, cells=cells, packed=packed)
        return replace(first, cells=cells, output=self._packed_output())

    def step(self, tokens: Tensor, steps: DecoderState) -> tuple[Tensor, DecoderState]:
        """Log-probabilities (N, V) of what comes after tokens (N,), without dropout, and the state after them."""
        if steps.packed is not None and not torch.is_grad_enabled():
            log_probs, rows = steps.packed.log_probs(tokens, steps.rows)
            return log_probs, steps.after(rows)
        seen, steps = self._next(tokens, steps.unpacked())
        hidden = self._read(seen)
        if steps.output is not None and not torch.is_grad_enabled():
            return steps.output.log_probs(hidden), steps
        return self._log_probs(hidden, seen, steps), steps

    def best(self, tokens: Tensor, steps: DecoderState, k: int) -> tuple[Tensor, Tensor, DecoderState] | None:
        """The k greatest of what `step` says, best first, and their tokens (N, k); None where it has to say all."""
        if torch.is_grad_enabled():
            return None
        if steps.packed is not None:
            log_probs, chosen, rows = steps.packed.best(tokens, steps.rows, k)
            return log_probs, chosen, steps.after(rows)
        if steps.output is None:
            return None
        seen, steps = self._next(tokens, steps)
        assert steps.output is not None
        return *steps.output.best(self._read(seen), k), steps

    def steps_run(self) -> str:
        """What takes the steps of a search now."""
        with torch.no_grad():
            steppers = IncrementalRNN(self.recurrent).steppers
            if steppers and self._numbers() is not None:
                return "each is one native call"
            native = ["layers"] if steppers else []
            native += [] if self._packed_output() is None else ["the output layer"]
        return f"{' and '.join(native)} run natively" if native else "layers run one by one"

    def _next(self, tokens: Tensor, steps: DecoderState) -> tuple[Seen, DecoderState]:
        """What the step after tokens (N,) saw, without dropout."""
        layers = steps.cells or IncrementalRNN(self.recurrent)

        def cells(x: Tensor, fed: Tensor | None, states: Sequence[tuple[Tensor, ...]]) -> States:
            return layers(_joined(x, fed), states)

        return self._step(self.embedding(self._known(tokens)), steps, cells)

    def _packed(self, first: DecoderState, cells: IncrementalRNN) -> PackedSteps | None:
        """What takes whole steps natively; None where part after part is asked."""
        numbers, memory = self._numbers() if cells.steppers else None, first.memory
        if numbers is None or not len(first.source):
            return None
        if not fit_together(first.states, cells.steppers, first.summary if memory is None else memory.keys):
            return None
        plan = self.kept_plan.of(
            numbers.copied, [numbers.table], numbers.options, lambda: RecurrentDecoderPlan(numbers)
        )
        assert isinstance(plan, RecurrentDecoderPlan)
        sources = None if memory is None else plan.sources(memory.keys, memory.values, memory.lengths)
        summary = None if first.summary is None else in_order(first.summary)
        return PackedSteps(plan, cells.steppers, sources, summary)

    def _numbers(self) -> RecurrentDecoderNumbers | None:
        """What a native step reads beside the cells; None with a copy switch, and for parts that it does not know."""
        if self.gate is not None or is_hooked(self) or torch.is_autocast_enabled("cpu") or not is_here():
            return None
        fed = self.recurrent.input_size - self.embedding.output_size
        context = 0 if self.attention is None else self.attention.context_size
        feeds: dict[str | None, Feeds] = {
            "before": "context",
            "after": "nothing",
            None: "summary" if self.style.repeats_summary else "nothing",
        }
        found = numbers_of(
            embedding=self.embedding,
            attention=self.attention,
            readout=self.readout,
            output=self.output,
            widths=(self.recurrent.output_size, fed if self.style.repeats_summary else context),
            attends=self.style.attends,
            feeds="readout" if self.input_feeding else feeds[self.style.attends],
        )
        if found is None or not can_step([*found.copied, found.table]) or not found.fits():
            return None
        return found

    def _packed_output(self) -> OutputPlan | None:
        """The output layer, packed; None where copies stand beside it, and where native code does not know it."""
        if self.gate is not None or type(self.output) not in (nn.Linear, SteadyLinear) or is_hooked(self.output):
            return None
        if torch.is_autocast_enabled("cpu"):
            return None
        numbers = LinearNumbers(self.output.weight, self.output.bias)
        tensors = [t for t in (numbers.weight, numbers.bias) if t is not None]
        if not can_step(tensors):
            self.kept_plan.drop()  # of a model that has gone to another type or device
            return None
        if not has_output() or not numbers.fits(*self.output.weight.shape):
            return None
        plan = self.kept_plan.of(tensors, (), len(tensors), lambda: OutputPlan(numbers))
        assert isinstance(plan, OutputPlan)
        return plan

    # -- the parts of a step -----------------------------------------------------------------------------------------

    def _first(self, encoded: Encoded, copies: Tensor | None) -> DecoderState:
        states: States = self.bridge(encoded)
        N, summary = len(encoded.summary), encoded.summary
        memory = None
        if self.attention is not None:
            assert encoded.outputs is not None
            memory = self.attention.prepare(encoded.outputs, encoded.lengths)
        covers = self.attention is not None and self.attention.covers
        source = _copied(copies, memory) if self.gate is not None else None
        return DecoderState(
            states,
            0,
            torch.arange(N, device=summary.device),
            self._num_tokens(source),
            memory,
            summary if self.style.repeats_summary else None,
            summary.new_zeros(N, self.output.in_features) if self.input_feeding else None,
            memory.values.new_zeros(memory.values.shape[:2]) if covers and memory is not None else None,
            source,
        )

    def _num_tokens(self, copies: Tensor | None) -> int:
        V = self.output.out_features
        return V if copies is None or not copies.numel() else max(V, int(copies.max()) + 1)

    def _step(self, x: Tensor, steps: DecoderState, cells: Cells) -> tuple[Seen, DecoderState]:
        """One step for tokens whose vectors are x (N, E)."""
        context, weights, repeated = steps.summary, None, None
        fed = steps.fed if self.input_feeding else steps.summary
        if self.style.attends == "before":
            context, weights, repeated, steps = self._attend(steps.states[-1][0], steps)
            fed = context
        states = cells(x, fed, steps.states)
        h = states[-1][0]
        if self.style.attends == "after":
            context, weights, repeated, steps = self._attend(h, steps)
        seen = Seen(h, x, context, weights, repeated)
        if self.input_feeding:
            seen = replace(seen, readout=self._read(seen))
            steps = replace(steps, fed=seen.readout)
        return seen, replace(steps, states=states, position=steps.position + 1)

    def _attend(self, query: Tensor, steps: DecoderState) -> tuple[Tensor, Tensor, Tensor | None, DecoderState]:
        """Context, weights, coverage loss, and the state with its coverage brought forward."""
        assert self.attention is not None
        assert steps.memory is not None
        context, weights = self.attention.attend(query, steps.memory, start=steps.position, coverage=steps.coverage)
        if steps.coverage is None:
            return context, weights, None, steps
        # See, Liu & Manning 2017, eq. 12: attending again to where attention has been.
        repeated = torch.minimum(weights, steps.coverage).sum(-1)
        return context, weights, repeated, replace(steps, coverage=steps.coverage + weights)

    def _read(self, seen: Seen) -> Tensor:
        """What the output layer reads, (..., D)."""
        if seen.readout is not None:
            return seen.readout
        hidden: Tensor = self.readout(seen.h, seen.x, seen.context)
        return hidden

    def _log_probs(self, hidden: Tensor, seen: Seen, steps: DecoderState) -> Tensor:
        """Log-probabilities (..., V') over the vocabulary and what can be copied, from the readout (..., D)."""
        logits = self.output(hidden)
        if self.gate is None:
            return torch.log_softmax(logits, -1)
        assert steps.copies is not None
        assert seen.weights is not None
        assert seen.context is not None
        # See, Liu & Manning 2017, eq. 8-9: p_gen P_vocab(w) + (1 - p_gen) sum of a_i over the i with w_i = w.
        own = torch.sigmoid(self.gate(torch.cat([seen.context, seen.h, seen.x], -1)))
        generated = own * torch.softmax(logits, -1)
        wider = nn.functional.pad(generated, (0, steps.num_tokens - generated.shape[-1]))
        both = wider.scatter_add(-1, steps.copies.expand(seen.weights.shape), (1 - own) * seen.weights)
        # A word that can be neither said nor copied has probability 0; its logarithm is the smallest there is, with no
        # gradient, where log 0 would make it NaN.
        return both.clamp_min(torch.finfo(both.dtype).tiny).log()

    def _known(self, tokens: Tensor) -> Tensor:
        """A copied token that is not in the vocabulary is read as an unknown one."""
        return tokens if self.gate is None else torch.where(tokens < self.output.out_features, tokens, UNK)


def _clean(tokens: Tensor, lengths: Tensor) -> Tensor:
    """Padding as token 0, whatever stood there."""
    step = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
    return torch.where(step < lengths, tokens, 0)


def _copied(copies: Tensor | None, memory: Memory | None) -> Tensor:
    """(N, T), 0 where padded: nothing is attended to there."""
    assert copies is not None
    assert memory is not None
    return torch.where(memory.padding.squeeze(1), 0, copies.t())


def _joined(x: Tensor, fed: Tensor | None) -> Tensor:
    return x if fed is None else torch.cat([x, fed], -1)

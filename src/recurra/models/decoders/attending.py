"""A decoder of attention: all steps at once in training, one after another in decoding, with keys and values kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from recurra.engine.attention import Reads, attend
from recurra.engine.kept_plan import KeptPlan
from recurra.engine.transformer import DecoderPlan
from recurra.models.contract import Encoded
from recurra.models.decoders.packed import PackedDecoder, Written
from recurra.nn import Embedding, SteadyLinear
from recurra.nn.dropout import QuickDropout
from recurra.nn.modes import in_evaluation
from recurra.nn.transformer import Pairs, Rows, TransformerDecoderLayer, rotated
from recurra.nn.transformer.attention import Cache, SelfAttention
from recurra.nn.transformer.cache import KeyValueCache, reads_of
from recurra.nn.transformer.layers import of_kind
from recurra.nn.transformer.positions import Places

# Steps of a greedy search in one native call, which no Ctrl-C ends before it is done.
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of the sources, once for all hypotheses.

    layers: keys and values (R, d) of each layer, of all sources one behind the other
    places: (first row, rows) of each source; table: the same, (N, 2)
    """

    layers: tuple[Cache, ...]
    places: tuple[tuple[int, int], ...]
    table: Tensor

    def reads(self, source: Tensor) -> Reads:
        """Where the keys of these sources (B,) are."""
        return reads_of([self.places[n] for n in source.tolist()], source.device)


@dataclass(frozen=True, slots=True)
class AttendingState:
    """Everything the decoder carries from step to step, B rows of it.

    position: steps done so far      memory: of the sources      source: (B,) which of them each row reads
    cache: keys and values of steps      held: (position, B) in which of its rows each step of each row stands
    packed: what takes steps without gradients in one native call, None where layers do it one by one
    reads: where keys and values of the sources are, for such layers
    """

    position: int
    memory: Memory
    source: Tensor
    cache: KeyValueCache
    held: Tensor
    packed: PackedDecoder | None = None
    reads: Reads | None = None

    def select(self, rows: Tensor) -> AttendingState:
        """The rows (K,) of the state, in this order; a row may come several times, or not at all."""
        source, held = self.source[rows], self.held.index_select(1, rows)
        # A beam reorders the hypotheses of one sentence most of the time, and then they read what they have read.
        if source.shape == self.source.shape and torch.equal(source, self.source):
            return replace(self, held=held)
        return replace(self, source=source, reads=None, held=held)

    def written(self, before: AttendingState) -> Written:
        """What a step reads and writes, from the state before it to this one."""
        layers = [(*own, *read) for own, read in zip(self.cache.layers, self.memory.layers, strict=True)]
        return Written(before.held, self.cache.keys[0].shape[1], self.source, self.memory.table, layers)

    def with_reads(self) -> AttendingState:
        """The same, knowing where keys and values of the sources are."""
        return self if self.reads is not None else replace(self, reads=self.memory.reads(self.source))


class AttendingDecoder(nn.Module):
    """Tokens and an encoded source to what the output layer reads, and on to log-probabilities.

    embedding: of the target's tokens, (V, d)      project: from the encoder's outputs to d
    places: positions      blocks: layers      norm: behind the last      output: linear, from d to the vocabulary
    Hooks of parts run with all steps; in single steps those of attention do not, but of its out_proj, and nowhere those
    of a whole block. Raises ConfigError for a block that is no TransformerDecoderLayer.
    Source: Vaswani et al. 2017, arXiv:1706.03762.
    """

    def __init__(
        self,
        *,
        embedding: Embedding,
        project: nn.Module,
        places: Places,
        blocks: Sequence[TransformerDecoderLayer],
        norm: nn.Module,
        output: SteadyLinear,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.project = project
        self.places = places
        self.blocks = nn.ModuleList(of_kind(TransformerDecoderLayer, blocks))
        self.norm = norm
        self.output = output
        self.dropout = QuickDropout(dropout)
        self.kept_plan: KeptPlan[DecoderPlan] = KeptPlan()

    @property
    def layers(self) -> list[TransformerDecoderLayer]:
        """The layers, from below."""
        return of_kind(TransformerDecoderLayer, self.blocks)

    # -- all steps: training and scoring -------------------------------------------------------------------------------

    def forward(
        self, encoded: Encoded, tokens: Tensor, lengths: Tensor, copies: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The named outputs of a model, under teacher forcing with tokens (S, N), lengths (N,) of them real.

        In evaluation with "attention" (S, N, T): the mean over the heads of the last layer.
        """
        if torch.is_grad_enabled():
            self.kept_plan.drop()
        said, looked = self._run(encoded, tokens, lengths, [] if self.training else self.layers[-1:])
        found = {"attention": looked[0].mean(0)} if looked else {}
        return found | {"hidden": said, "weight": self.output.weight, "bias": self.output.bias}

    def attention_by_head(self, encoded: Encoded, tokens: Tensor, lengths: Tensor) -> Tensor:
        """(layers, heads, S, N, T): how much of each source step is in what each head of each layer sees."""
        return torch.stack(self._run(encoded, tokens, lengths, self.layers)[1])

    def _run(
        self, encoded: Encoded, tokens: Tensor, lengths: Tensor, watched: Sequence[TransformerDecoderLayer]
    ) -> tuple[Tensor, list[Tensor]]:
        """(S, N, d) before the output layer, and weights of attention to the source in the layers that are watched."""
        pairs = Pairs.of(len(tokens), lengths.to(tokens.device), len(encoded.outputs), encoded.lengths)
        rows, source = pairs.target, self.project(pairs.source.packed(encoded.outputs))
        x = self.dropout(self.places(self.embedding(tokens.flatten().index_select(0, rows.place)), rows.steps))
        looked: list[Tensor] = []
        for layer in self.layers:
            memory = layer.multihead_attn.keys_and_values(source)

            def seen(y: Tensor, layer: TransformerDecoderLayer = layer, memory: Cache = memory) -> Tensor:
                if any(layer is one for one in watched):
                    looked.append(layer.multihead_attn.weights(y, memory[0], pairs))
                return layer.seen(y, memory, pairs)

            x = layer.parts(x, partial(_itself, layer, rows), seen)
        return rows.padded(self.norm(x)), looked

    # -- one step: decoding --------------------------------------------------------------------------------------------

    def most_steps(self, state: AttendingState) -> int | None:
        """Steps from here on that have a position; None: any number."""
        return None if self.places.most is None else self.places.most - state.position

    def start(self, encoded: Encoded, copies: Tensor | None = None) -> AttendingState:
        """The state before the first step: keys and values of the sources, computed once."""
        N, device = encoded.outputs.shape[1], encoded.outputs.device
        rows = Rows.of(len(encoded.outputs), encoded.lengths)
        with in_evaluation(self):
            source = self.project(rows.packed(encoded.outputs))
            pairs = (layer.multihead_attn.keys_and_values(source) for layer in self.layers)
            layers = tuple((keys.contiguous(), values.contiguous()) for keys, values in pairs)
        places = [(0, 0)] * N
        for group in rows.groups:
            for k, n in enumerate(group.members):
                places[n] = (group.first + k * group.length, group.length)
        cache = KeyValueCache(len(self.layers), self.embedding.output_size, source, rows=N)
        held = torch.empty(0, N, dtype=torch.int64, device=device)
        table = torch.tensor(places, dtype=torch.int64, device=device).view(N, 2)
        memory, each = Memory(layers, tuple(places), table), torch.arange(N, device=device)
        return AttendingState(0, memory, each, cache, held, self._packed())

    def _packed(self) -> PackedDecoder | None:
        return PackedDecoder.of(
            self,
            embedding=self.embedding,
            places=self.places,
            layers=self.layers,
            norm=self.norm,
            output=self.output,
            kept=self.kept_plan,
        )

    def step(self, tokens: Tensor, state: AttendingState) -> tuple[Tensor, AttendingState]:
        """Log-probabilities (B, V) of what comes after tokens (B,), without dropout, and the state after them."""
        after = self._after(tokens, state)
        if after.packed is not None and not torch.is_grad_enabled():
            return after.packed.log_probs(tokens, after.written(state)), after
        after, own_reads = after.with_reads(), after.cache.reads(after.held)
        with in_evaluation(self):
            x = self.places(self.embedding(tokens), torch.full_like(tokens, state.position))
            for k, layer in enumerate(self.layers):
                x = self._stepped(k, layer, x, after, own_reads)
            return torch.log_softmax(self.output(self.norm(x)), -1), after

    def best(self, tokens: Tensor, state: AttendingState, k: int) -> tuple[Tensor, Tensor, AttendingState] | None:
        """The k greatest of what `step` says, best first, and their tokens (B, k); None where it has to say all."""
        if state.packed is None or torch.is_grad_enabled():
            return None
        after = self._after(tokens, state)
        return *state.packed.best(tokens, after.written(state), k), after

    def write_on(
        self, tokens: Tensor, state: AttendingState, *, end: int, left: Tensor, never: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor, Tensor, AttendingState] | None:
        """Steps of a greedy search, as `WritesOn` has them, in one native call; None where each has to be asked.

        never: tokens that are not said
        """
        if state.packed is None or torch.is_grad_enabled():
            return None
        at, cache = state.position, state.cache.with_room(state.position, len(tokens))
        steps = min(AT_ONCE, len(cache.keys[0]) - at, int(left.max()))
        read = replace(state, cache=cache).written(state)
        said = state.packed.write_on(tokens, read, steps=steps, end=end, left=left, never=never)
        if said is None:
            cache.written = at
            return None
        cache.written = at + len(said.tokens)
        source = state.source[said.live]
        after = replace(state, position=cache.written, cache=cache, source=source, held=said.held, reads=None)
        return said.log_probs, said.tokens, said.rows, after

    def steps_run(self) -> str:
        """What takes the steps of a search now."""
        with torch.no_grad():
            packed = self._packed()
        return "layers run one by one" if packed is None else "each is one native call"

    @staticmethod
    def _after(tokens: Tensor, state: AttendingState) -> AttendingState:
        """The state after a step of tokens (B,), whose keys and values are still to be written."""
        at, own = state.position, torch.arange(len(tokens), device=tokens.device)
        cache, held = state.cache.with_room(at, len(tokens)), torch.cat([state.held, own.unsqueeze(0)])
        return replace(state, position=at + 1, cache=cache, held=held)

    def _stepped(
        self,
        k: int,
        layer: TransformerDecoderLayer,
        x: Tensor,
        after: AttendingState,
        own_reads: Reads,
    ) -> Tensor:
        """(B, d) of one layer, the k-th, at one step."""

        def itself(y: Tensor) -> Tensor:
            module, cache = layer.self_attn, after.cache
            q, keys, values = _turned(module, module.projected(y), after.position - 1)
            cache.write(k, after.position - 1, keys, values)
            k_before, v_before = cache.keys[k].flatten(0, 1), cache.values[k].flatten(0, 1)
            said = attend(q, k_before, v_before, own_reads, module.num_heads)
            found: Tensor = module.out_proj(said)
            return found

        def source(y: Tensor) -> Tensor:
            module = layer.multihead_attn
            keys, values = after.memory.layers[k]
            assert after.reads is not None
            said = attend(module.queries(y), keys, values, after.reads, module.num_heads)
            found: Tensor = module.out_proj(said)
            return found

        return layer.parts(x, itself, source)


def _itself(layer: TransformerDecoderLayer, rows: Rows, x: Tensor) -> Tensor:
    found: Tensor = layer.self_attn(x, rows)[0]
    return found


def _turned(module: SelfAttention, made: tuple[Tensor, Tensor, Tensor], at: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (B, d) of step `at`, queries and keys turned where positions are rotary."""
    q, keys, values = made
    if not module.rotary:
        return made
    heads = (len(q), module.num_heads, 1, module.head_dim)
    q, keys = (rotated(part.view(heads), at).view(len(q), -1) for part in (q, keys))
    return q, keys, values

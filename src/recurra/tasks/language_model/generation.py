"""A text continued, one token after the other."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.data.tokenizers import BOS, EOS, PAD, UNK, Tokenizer, Vocabulary, lines_of
from recurra.data.tokenizers.cleaning import Cleaning
from recurra.decode import Choose, Greedy, Sampling, stream
from recurra.models import IncrementalModel, SequenceModel
from recurra.nn import softmax_log_probabilities
from recurra.tasks.contract import GenerationOptions, Piece
from recurra.tasks.language_model.documents import LINE
from recurra.tasks.letters import Spellings

State = dict[str, Tensor]
# Tokens of a prompt that are read in one call of the model.
READ = 512
# Tokens before a new one that may change how it is joined; a longer line would take time by its square.
NEAR = 32
# Signs that stand close to what is before them, and to what is behind them.
CLOSING, OPENING = re.compile(r" ([.,;:!?%)\]}…])"), re.compile(r"([(\[{]) ")


class Generator:
    """Goes on with a text. One object serves many texts, one after the other.

    start: what stands before a document      closed: whether documents have an end that can be written
    model: is put into eval mode, and its weights must not change while it writes
    The model never writes an unknown token, padding or a beginning.
    """

    def __init__(
        self,
        model: SequenceModel,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        *,
        start: int,
        closed: bool,
        line_breaks: bool,
        spellings: Spellings | None = None,
    ) -> None:
        """spellings: of a model that reads letters; it numbers the tokens of prompts"""
        self._model = model.eval()
        self._spellings = spellings
        self._step = IncrementalModel(model, None if spellings is None else self._spelt)
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self._start = start
        self._closed = closed
        self._line_breaks = line_breaks
        device = next(model.parameters()).device
        self._never = torch.tensor([PAD, UNK, BOS] + ([] if closed else [EOS]), dtype=torch.int64, device=device)
        self._device = device

    def write(self, prompt: str, how: GenerationOptions) -> Iterator[Piece]:
        """What follows the prompt, token by token: at most `length`, and not beyond the end or the text `stop`.

        Raises ConfigError for an option out of its range, at once.
        """
        if how.stop == "":
            raise ConfigError("stop: is empty; expected a text at which to end, or leave it out.")
        return self._write(prompt, how, choice(how))

    def sample(self, prompt: str, *, temperature: float, seed: int, characters: int) -> str:
        """About so many characters after the prompt, drawn; at most, where the tokens are longer than one."""
        text = ""
        for written in self.write(prompt, GenerationOptions(length=characters, temperature=temperature, seed=seed)):
            text += written.text
            if len(text) >= characters:
                break
        return text[:characters].strip()

    def _write(self, prompt: str, how: GenerationOptions, choose: Choose) -> Iterator[Piece]:
        numbers, text = self.read(prompt)
        state = self.state(numbers[:-1])
        end = EOS if self._closed else PAD
        ends = {"start": numbers[-1], "end": end, "max_length": how.length}
        tokens = stream(self, state, **ends, choose=choose, device=self._device)
        held = Held(None if how.stop is None else self._as_written(how.stop))
        for token in tokens:
            added = "" if token.ended else text.add(self.vocabulary.tokens([token.token])[0])
            shown = held.add(added, last=token.ended)
            yield Piece(how.number, shown, token.log_prob, token.ended or held.stopped)
            if held.stopped:
                return
        if rest := held.add("", last=True):
            yield Piece(how.number, rest, 0.0, False)

    # -- a model, one step after another (decode.Steps) --------------------------------------------------------------

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (B, V) of what follows, with -inf for what is never written, and the state after."""
        outputs, after = self._step(tokens.to(self._device), state)
        with torch.no_grad():
            log_probs = softmax_log_probabilities(outputs)[0]
        return log_probs.index_fill(1, self._never, -math.inf), after

    def most_steps(self, state: State) -> int | Tensor | None:
        """How many tokens can follow, of each row (N,) or of all; None: any number."""
        return self._step.most_steps(state)

    def select(self, state: State, rows: Tensor) -> State:
        """The states of these rows."""
        return {name: value[rows.to(value.device)] for name, value in state.items()}

    def read(self, prompt: str) -> tuple[list[int], Text]:
        """The numbers of a prompt, its start in front, and the text whose last line goes on."""
        lines = [self.tokenizer.tokenize(line) for line in lines_of(prompt)]
        if not self._line_breaks:
            lines = [[token for line in lines for token in line]]
        tokens = [token for k, line in enumerate(lines) for token in ((LINE, *line) if k else line)]
        numbered = self.vocabulary.ids if self._spellings is None else self._spellings.numbers
        return [self._start, *numbered(tokens)], Text(self.tokenizer, lines[-1])

    def _as_written(self, text: str) -> str:
        """A text in the spelling of what the model writes: its tokenizer folds case, and has one normal form."""
        data = self.tokenizer.to_json()
        return Cleaning(lowercase=data["lowercase"], normalization=data["normalization"])(text)

    def state(self, numbers: Sequence[int], state: State | None = None) -> State:
        """The state after these tokens, from one before them; zero where there is none."""
        found = state or {}
        for at in range(0, len(numbers), READ):
            some = torch.tensor(numbers[at : at + READ], dtype=torch.int64, device=self._device).unsqueeze(1)
            found = _states(self._call(some, found))
        return found

    def _call(self, tokens: Tensor, state: State) -> Any:
        steps, rows = tokens.shape
        with torch.no_grad():
            inputs = self._inputs(tokens) | state
            return self._model(Batch(inputs, torch.full((rows,), steps, dtype=torch.int64), {}, ())).outputs

    def _inputs(self, tokens: Tensor) -> dict[str, Tensor]:
        if self._spellings is None:
            return {"tokens": tokens}
        found = self._spellings.inputs(tokens.cpu().numpy())
        return {name: value.to(self._device) for name, value in found.items()}

    def _spelt(self, tokens: Tensor) -> Tensor:
        """The vectors (N, I) of tokens (N,)."""
        batch = Batch(self._inputs(tokens.unsqueeze(0)), torch.ones_like(tokens), {}, ())
        vectors: Tensor = self._model.inputs(batch)[0][0]
        return vectors


class Text:
    """The text of tokens that come one by one: what each adds to the line that is being written."""

    def __init__(self, tokenizer: Tokenizer, line: Sequence[str]) -> None:
        data = tokenizer.to_json()
        # Words and word pieces do not say whether a sign stood close; text that came cut at its spaces does.
        self._loose = data["name"] == "words" or data.get("algorithm") == "wordpiece"
        self._tokenizer = tokenizer
        self._line = list(line)
        self._shown = self._joined()

    def add(self, token: str) -> str:
        """The new characters."""
        if token == LINE:
            self._line, self._shown = [], ""
            return LINE
        if len(self._line) >= 2 * NEAR:
            self._line = self._line[-NEAR:]
            self._shown = self._joined()
        self._line.append(token)
        text, before = self._joined(), self._shown
        self._shown = text
        # A space at the end of a line is not joined before something follows it.
        return text[len(before) :] if text.startswith(before) else ""

    def _joined(self) -> str:
        text = self._tokenizer.join(self._line)
        return OPENING.sub(r"\1", CLOSING.sub(r"\1", text)) if self._loose else text


class Held:
    """Hands text on, but for an end that may be the beginning of `stop`; nothing from `stop` on."""

    def __init__(self, stop: str | None) -> None:
        self._stop = stop
        self._held = ""
        self.stopped = False

    def add(self, text: str, *, last: bool) -> str:
        """What can be shown now. last: nothing follows."""
        if self._stop is None:
            return text
        self._held += text
        before, found, _ = self._held.partition(self._stop)
        if found:
            self.stopped, self._held = True, ""
            return before
        keep = 0 if last else next(k for k in range(len(self._stop) - 1, -1, -1) if self._held.endswith(self._stop[:k]))
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown


def choice(how: GenerationOptions) -> Choose:
    """How a token is chosen: drawn, or at temperature 0 the most probable.

    Raises ConfigError for an option out of its range, or without effect at temperature 0.
    """
    if how.temperature == 0:
        how.refuse(("top_k", "top_p"), "has no effect at temperature 0, which takes the most probable.")
        return Greedy()
    return Sampling(temperature=how.temperature, top_k=how.top_k, top_p=how.top_p, seed=how.seed, keys=[how.number])


def _states(outputs: Any) -> State:
    return {name: value for name, value in outputs.items() if name.startswith("state.")}

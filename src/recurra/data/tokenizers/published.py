"""Word pieces as a folder of published weights has them: BERT's, or those of any file of Hugging Face `tokenizers`.

Devlin et al. 2019, arXiv:1810.04805, section 3: a text begins with [CLS] and ends with [SEP], which also stands between
the two texts of a pair. Which numbers pieces have is the folder's affair; here they are told by their spelling.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.option import Opt
from recurra.data.tokenizers.subwords import one_thread
from recurra.data.tokenizers.tokenizer import Tokenizer, with_keys
from recurra.data.tokenizers.vocabulary import SPECIALS, Vocabulary

if TYPE_CHECKING:
    import tokenizers

# Between the two texts of a pair while they are one: ASCII's unit separator, which no text has in it.
PAIR = "\x1f"
# What a mark is called: in BERT, in RoBERTa.
MARKS: Mapping[str, tuple[str, str]] = {
    "begin": ("[CLS]", "<s>"),
    "separator": ("[SEP]", "</s>"),
    "unknown": ("[UNK]", "<unk>"),
    "pad": ("[PAD]", "<pad>"),
    "mask": ("[MASK]", "<mask>"),
}
# Files are read whole: a vocabulary of a quarter of a million pieces has 17 MB.
MAX_BYTES = 64 * 2**20


class Pretrained:
    """The word pieces of a folder of published weights, with their numbers; nothing is learned."""

    def __init__(
        self,
        *,
        folder: Annotated[str, Opt("folder with tokenizer.json, or vocab.txt, beside published weights")],
    ) -> None:
        self._folder = folder

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """The folder's pieces: `texts` are not read. Raises DataError, which names the file, for what are none."""
        return read_pieces(Path(self._folder))


class Pieces:
    """Cuts a text into pieces, with [CLS] and [SEP] around them; of a pair, `PAIR` between two texts, [SEP] between.

    library: the tokenizer as Hugging Face's file has it: normalizer, pre_tokenizer, model, decoder
    extra: pieces with a number that the model does not have
    A piece that is unknown is shown as the text has it. Marks that a text spells out are text.
    Raises DataError where [CLS], [SEP] or [UNK] is missing.
    """

    def __init__(self, library: Mapping[str, Any], extra: Mapping[str, int]) -> None:
        self._library, self._extra = dict(library), dict(extra)
        self._made = _made(self._library)
        numbers = {**self._made.get_vocab(with_added_tokens=False), **extra}
        self.marks = {name: word for name, words in MARKS.items() for word in words if word in numbers}
        if missing := [MARKS[name][0] for name in ("begin", "separator", "unknown") if name not in self.marks]:
            raise DataError(f"the vocabulary has no {' and no '.join(missing)}, expected the pieces of a BERT.")
        self._numbers = numbers

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Piece number k of the folder has number k + 4."""
        by_number = {number: piece for piece, number in self._numbers.items()}
        pieces = [by_number.get(number, f"[no piece {number}]") for number in range(max(by_number) + 1)]
        return Vocabulary([f"[{piece}]" if piece in SPECIALS else piece for piece in pieces])

    @property
    def sizes(self) -> dict[str, int]:
        """The folder's numbers of marks, for a model: "unknown_piece", "separator_piece", "mask_piece"."""
        known = {"unknown": "unknown_piece", "separator": "separator_piece", "mask": "mask_piece"}
        return {known[name]: self._numbers[word] for name, word in self.marks.items() if name in known}

    @property
    def pad(self) -> int:
        """The folder's number of padding; 0 where it has none."""
        return self._numbers.get(self.marks.get("pad", ""), 0)

    @property
    def mask_takes_space(self) -> bool:
        """Whether white space before what is hidden belongs to its mark: in RoBERTa, whose words begin with it."""
        return self.marks["begin"] == "<s>"

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text, or of the two texts of a pair, with their marks."""
        return self.framed([[piece for piece, _ in self.pieces(part)] for part in text.split(PAIR, 1)])

    def framed(self, texts: Sequence[Sequence[str]]) -> list[str]:
        """One text or two, as pieces, with marks."""
        found = [self.marks["begin"], *texts[0], self.marks["separator"]]
        for text in texts[1:]:
            # RoBERTa has two of them between the texts of a pair (Liu et al. 2019; its vocabulary tells it).
            found += [self.marks["separator"]] * (self.marks["begin"] == "<s>")
            found += [*text, self.marks["separator"]]
        return found

    def pieces(self, text: str) -> list[tuple[str, tuple[int, int]]]:
        """The pieces of a text, each with its place in the text as it was given; no marks."""
        with one_thread():
            cut = self._made.encode(text, add_special_tokens=False)
        unknown = self.marks["unknown"]
        return [
            (self._as_spelt(text[a:b]) if piece == unknown else piece, (a, b))
            for piece, (a, b) in zip(cut.tokens, cut.offsets, strict=True)
        ]

    def words(self, text: str) -> list[str]:
        """The words of a text that pieces are looked for in, cleaned."""
        clean = self._made.normalizer.normalize_str(text)
        return [word for word, _ in self._made.pre_tokenizer.pre_tokenize_str(clean)]

    def _as_spelt(self, text: str) -> str:
        return text if text and text not in self._numbers else SPECIALS[1]

    def kept(self, separators: Sequence[int], length: int, limit: int, end: bool) -> list[tuple[int, int]]:
        """Which stretches of so many tokens stay within a limit, marks and all, as (start, stop).

        Of a pair a piece is taken from the longer text, on equality from the second, until both fit.
        separators: where they stand      end: the end of each text stays, not its beginning
        """
        bodies = [(1, separators[0])] + ([(separators[-2] + 1, separators[-1])] if len(separators) > 1 else [])
        sizes = [stop - start for start, stop in bodies]
        room = max(limit - (length - sum(sizes)), 0)
        while sum(sizes) > room:
            longer = 0 if len(sizes) == 1 or sizes[0] > sizes[1] else 1
            sizes[longer] = room if len(sizes) == 1 else sizes[longer] - 1
        stays, at = [], 0
        for (start, stop), size in zip(bodies, sizes, strict=True):
            cut = (start, stop - size) if end else (start + size, stop)
            stays.append((at, cut[0]))
            at = cut[1]
        return [*stays, (at, length)]

    def join(self, tokens: Sequence[str]) -> str:
        """The pieces put together, without marks; of word pieces symbols stand between spaces."""
        marks = {*self.marks.values()} - {self.marks["unknown"]}
        plain = [token for token in tokens if token not in marks]
        decoder = self._made.decoder
        return " ".join(plain) if decoder is None else str(decoder.decode(plain))

    def files(self) -> dict[str, str]:
        """The files of a Hugging Face folder that hold it: tokenizer.json, of word pieces also vocab.txt."""
        begin, separator = self.marks["begin"], self.marks["separator"]
        one = [{"SpecialToken": {"id": begin, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        end = {"SpecialToken": {"id": separator, "type_id": 0}}
        of_second = int(begin != "<s>")  # RoBERTa has one segment
        two = [
            *[end] * (begin == "<s>"),
            {"Sequence": {"id": "B", "type_id": of_second}},
            {"SpecialToken": {"id": separator, "type_id": of_second}},
        ]
        known = {word: {"id": word, "ids": [self._numbers[word]], "tokens": [word]} for word in (begin, separator)}
        template = {
            "type": "TemplateProcessing",
            "single": [*one, end],
            "pair": [*one, end, *two],
            "special_tokens": known,
        }
        kept = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        marks = [
            {"id": self._numbers[word], "content": word, **kept, "lstrip": name == "mask" and self.mask_takes_space}
            for name, word in self.marks.items()
        ]
        others = [{"id": n, "content": w, **kept} for w, n in self._extra.items() if w not in self.marks.values()]
        added = sorted([*marks, *others], key=lambda one: int(str(one["id"])))
        whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, **self._library}
        found = {"tokenizer.json": json.dumps({**whole, "post_processor": template}, ensure_ascii=False)}
        names = {"begin": "cls", "separator": "sep", "unknown": "unk", "pad": "pad", "mask": "mask"}
        config: dict[str, Any] = {f"{names[name]}_token": word for name, word in self.marks.items()}
        if self._library["model"]["type"] == "WordPiece":
            by_number = sorted(self._numbers, key=self._numbers.__getitem__)
            found["vocab.txt"] = "\n".join(by_number) + "\n"
            lowercase = bool((self._library.get("normalizer") or {}).get("lowercase"))
            config |= {"tokenizer_class": "BertTokenizer", "do_lower_case": lowercase}
        else:
            config |= {"tokenizer_class": "PreTrainedTokenizerFast"}
        return {**found, "tokenizer_config.json": json.dumps(config)}

    def to_json(self) -> dict[str, Any]:
        """The tokenizer as the library writes it, and pieces beside its model."""
        return {"name": "pretrained", "library": self._library, "extra": self._extra}


def pieces_from_json(data: Mapping[str, Any]) -> Tokenizer:
    """The opposite of `Pieces.to_json`."""
    data = with_keys(data, "library", "extra")
    try:
        return Pieces(data["library"], data["extra"])
    except (DataError, TypeError, ValueError) as error:
        raise RunError(f"tokenizer: {error}") from None


def read_pieces(folder: Path) -> Pieces:
    """The pieces of a folder: its tokenizer.json, or else its vocab.txt; of a run's folder the run's own.

    Raises DataError, with the file's name, if there is neither, or for one that cannot be read.
    """
    if (folder / "run.json").is_file():
        return _of_run(folder / "task.json")
    whole, words = folder / "tokenizer.json", folder / "vocab.txt"
    if not (whole.is_file() or words.is_file()):
        raise DataError(
            f"{folder}: expected tokenizer.json or vocab.txt with the pieces of the weights, found neither."
        )
    path = whole if whole.is_file() else words
    try:
        return _of_file(json.loads(_read(whole))) if path is whole else from_words(*_listed(words))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: holds no tokenizer: {str(error)[:200]}") from None


def _of_run(path: Path) -> Pieces:
    """The pieces that a run reads. Raises DataError for a run that reads none."""
    try:
        data = json.loads(_read(path))["reader"]["tokenizer"]
        if data["name"] != "pretrained":
            raise ValueError(f"its texts are cut into {data['name']}")
        return Pieces(data["library"], data["extra"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: holds no word pieces: {str(error)[:200]}; expected a run of masked_lm, or one that began with "
            "published weights."
        ) from None


def from_words(words: Sequence[str], lowercase: bool) -> Pieces:
    """BERT's tokenizer over a list of pieces, in the order of their numbers.

    A word of more than 100 characters is unknown, as in Hugging Face's (Google's code has 200).
    """
    numbers = {word: number for number, word in enumerate(words)}
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
    library = {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": lowercase,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {**model, "max_input_chars_per_word": 100, "vocab": numbers},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False},
    }
    return Pieces(library, {})


def _listed(path: Path) -> tuple[list[str], bool]:
    """The pieces of a vocab.txt; and whether texts are lower-cased: as tokenizer_config.json beside it says, else by
    whether a piece has a capital letter."""
    words = _read(path).decode("utf-8").rstrip("\n").split("\n")
    words = [word.removesuffix("\r") for word in words]
    if twice := len(words) - len(set(words)):
        raise ValueError(f"{twice} pieces stand in it twice")
    beside = path.parent / "tokenizer_config.json"
    said = json.loads(_read(beside)).get("do_lower_case") if beside.is_file() else None
    cased = any(word != word.lower() for word in words if not word.startswith("["))
    return words, not cased if said is None else bool(said)


def _of_file(data: Mapping[str, Any]) -> Pieces:
    """What a tokenizer.json says of cutting: its padding, its truncation and its template are not read."""
    library = {name: data.get(name) for name in ("normalizer", "pre_tokenizer", "model", "decoder")}
    known = data["model"]["vocab"]
    extra = {one["content"]: int(one["id"]) for one in data.get("added_tokens") or ()}
    return Pieces(library, {piece: number for piece, number in extra.items() if piece not in known})


def _made(library: Mapping[str, Any]) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer as Trained

    whole: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "post_processor": None,
    }
    try:
        return Trained.from_str(json.dumps({**whole, **library}))
    except Exception as error:  # noqa: BLE001  # the library raises nothing narrower
        raise ValueError(str(error)) from None


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
    return path.read_bytes()


def refuse_limits(tokenizer: Pieces, min_count: int, max_size: int | None) -> None:
    """Raise ConfigError for options that choose what has a number, where the folder does."""
    given = [name for name, on in (("min_count", min_count != 1), ("max_vocabulary", max_size is not None)) if on]
    if given:
        raise ConfigError([f"{name}: has no effect with tokenizer: pretrained, whose pieces all have numbers; leave it "
                           "out." for name in given])  # fmt: skip

"""Speech to text on public recordings: trains, and prints the test scores, a line of JSON for each seed.

    python benchmarks/speech.py an4 --data FOLDER [--seeds 1,2,3] [--set KEY=VALUE] [--out FOLDER [--trained]]
        [--head transducer|attention] [--phones FILE] [--beam 16] [--lm] [--ngrams FILE.arpa]

an4        CMU's features: etc/ and the feat/ that an4_mfcc.tar.gz holds
yesno      OpenSLR 1: the 60 sounds of waves_yesno.tar.gz; with what `init` writes
yesno_heard  the same, with the text of one training recording as it is heard: seven words, where its name has eight
yesno_dev  for choosing: the training half of yesno alone, its last 13 recordings as test
digits     Free Spoken Digit Dataset: its recordings, joined to strings of five; with what `init` writes
asterisk   telephone prompts of one voice: en.tsv and the en/ that en.tar.gz holds
kathleen   1,132 sentences of one voice: transcripts.tsv and the sounds that ogg.tar holds

--phones   units are phones, by the pronunciations of FILE (CMUdict, without its stress), and answers are its words
--trained  train nothing, score the runs that are in --out
--beam     score the search for the best text too, with a beam of so many
--lm       with a language model of characters beside, of the training texts alone; its weight and bonus are chosen by
           the CER of dev
--ngrams   with n-grams of letters or of words (benchmarks/ngrams.py), these with FILE.words as the only ones that may
           be said, but with --phones; weight and bonus chosen in the same way
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import re
import tempfile
import time
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recurra import api
from recurra.api.folder import open_run
from recurra.decode.fusion import Fusion
from recurra.decode.ngrams import NGrams

# The usual dev set: the first 100 utterances of train.
AN4_DEV = 100
MASKS: dict[str, Any] = {"time_masks": 2, "time_mask_width": 25, "band_masks": 2, "band_mask_width": 8}
AN4: dict[str, Any] = {
    "task": {
        "name": "transcription", "tokenizer": "spaces", "stack": 3, "speed": 0.15, "warp": 0.08, "cepstra": True,
        "time_masks": 3, "time_mask_width": 20, "band_masks": 2, "band_mask_width": 3,
    },
    "model": {
        "encoder": {"cell": "gru", "hidden_size": 192, "num_layers": 3, "dropout": 0.4, "bidirectional": True},
        "head": {"output_dropout": 0.4, "blank_share": 0.9},
    },
    "training": {
        "epochs": 40, "batch_rows": 8, "batch_tokens": 4096, "optimizer": {"name": "adam", "lr": 0.002},
        "schedule": {"name": "cosine", "warmup": 0.05}, "patience": None, "select": "wer", "average_decay": 0.998,
    },
}  # fmt: skip
SENTENCES: dict[str, Any] = {
    "task": {
        "name": "transcription", "sound": {"name": "kaldi", "rate": 8000, "bands": 40}, "floor": 5.0, "stack": 2,
        "tokenizer": "characters", "case": "lower", "punctuation": "drop", "speed": 0.1, **MASKS,
    },
    "model": {
        "encoder": {"cell": "gru", "hidden_size": 192, "num_layers": 3, "dropout": 0.2, "bidirectional": True},
        "head": {"output_dropout": 0.2, "blank_share": 0.9},
    },
    "training": {
        "epochs": 200, "batch_rows": 8, "batch_tokens": 4096, "optimizer": {"name": "adam", "lr": 0.003},
        "schedule": {"name": "cosine", "warmup": 0.05}, "patience": None, "select": "cer", "average_decay": 0.998,
    },
}  # fmt: skip
# In the place of `model.head`, where --head says so.
HEADS: dict[str, dict[str, Any]] = {
    "ctc": {},
    "transducer": {
        "name": "transducer", "hidden_size": 128, "embedding_size": 64, "joint_size": 192, "embedding_dropout": 0.2,
        "output_dropout": 0.4, "blank_share": 0.9,
    },
    "attention": {
        "name": "attention", "ctc": 0.5, "output_dropout": 0.4, "blank_share": 0.9,
        "decoder": {
            "name": "recurrent", "cell": "gru", "hidden_size": 192, "num_layers": 1, "embedding_size": 64,
            "embedding_dropout": 0.2, "output_dropout": 0.4,
        },
    },
}  # fmt: skip
LETTERS: dict[str, Any] = {
    "task": {"name": "language_model", "tokenizer": {"name": "characters"}, "document": "row"},
    "model": {
        "inputs": {"embedding_size": 64, "embedding_dropout": 0.1},
        "encoder": {"cell": "lstm", "hidden_size": 256, "dropout": 0.0},
        "head": {"output_dropout": 0.4},
    },
    "training": {
        "epochs": 30, "batch_rows": 16, "optimizer": {"name": "adam", "lr": 0.003}, "patience": 3,
        "schedule": {"name": "cosine"},
    },
}  # fmt: skip
# A training recording of yesno whose last word is not in the sound.
SHORT = "0_1_0_1_0_0_0_0"
# Of fsdd: recordings 0 to 4 of each digit and speaker are the test, as its authors have it, 5 to 9 dev here.
DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
JOINED, TIMES, RATE = 5, 3, 8000
Rows = Sequence[tuple[str, str]]
Parts = Mapping[str, Rows]


def an4(data: Path, scratch: Path) -> Parts:
    """The official split: files of features with their words."""
    parts = {}
    for name in ("train", "test"):
        said = {}
        for line in (data / "etc" / f"an4_{name}.transcription").read_text().splitlines():
            text, utterance = re.fullmatch(r"(.*)\((\S+)\)\s*", line).groups()  # type: ignore[union-attr]
            said[utterance] = " ".join(word for word in text.split() if word not in ("<s>", "</s>"))
        ids = (data / "etc" / f"an4_{name}.fileids").read_text().split()
        parts[name] = [(str(data / "feat" / f"{one}.mfc"), said[one.rpartition("/")[2]]) for one in ids]
    return {"dev": parts["train"][:AN4_DEV], "train": parts["train"][AN4_DEV:], "test": parts["test"]}


def yesno(data: Path, scratch: Path) -> Parts:
    """By name the first half is for training, as Kaldi has it; dev is taken from it."""
    files = sorted(data.rglob("*.wav"))
    rows = [(str(f), " ".join("YES" if one == "1" else "NO" for one in f.stem.split("_"))) for f in files]
    return {"train": rows[: len(rows) // 2], "test": rows[len(rows) // 2 :]}


def yesno_heard(data: Path, scratch: Path) -> Parts:
    """In the sound of SHORT there are seven words; held out of training, it is the one that is never as its name is."""
    parts = yesno(data, scratch)
    heard = [(file, text.rpartition(" ")[0] if Path(file).stem == SHORT else text) for file, text in parts["train"]]
    return {**parts, "train": heard}


def yesno_dev(data: Path, scratch: Path) -> Parts:
    """The training half cut by name once more, so that here too the test begins as no training recording does."""
    rows = yesno(data, scratch)["train"]
    return {"train": rows[:17], "test": rows[17:]}


def digits(data: Path, scratch: Path) -> Parts:
    """Recordings of one speaker end to end, five at a time, in an order drawn by one seed: of train three orders."""
    parts: dict[str, list[tuple[str, str]]] = {"train": [], "dev": [], "test": []}
    found: dict[tuple[str, str], list[Path]] = {}
    for file in sorted(data.rglob("*_*_*.wav")):
        _, speaker, index = file.stem.split("_")
        name = "test" if int(index) < 5 else "dev" if int(index) < 10 else "train"
        found.setdefault((name, speaker), []).append(file)
    drawn = random.Random(0)
    for (name, speaker), files in sorted(found.items()):
        for turn in range(TIMES if name == "train" else 1):
            drawn.shuffle(files)
            for k in range(0, len(files), JOINED):
                target = scratch / f"{name}-{speaker}-{turn}-{k}.wav"
                parts[name].append((str(target), _join(files[k : k + JOINED], target)))
    return parts


def _join(files: Sequence[Path], target: Path) -> str:
    """What is said in the new sound."""
    with wave.open(str(target), "wb") as joined:
        joined.setnchannels(1)
        joined.setsampwidth(2)
        joined.setframerate(RATE)
        for file in files:
            with wave.open(str(file)) as one:
                joined.writeframes(one.readframes(one.getnframes()))
    return " ".join(DIGITS[int(file.stem.split("_")[0])] for file in files)


def asterisk(data: Path, scratch: Path) -> Parts:
    """By the hash of the name; prompts with digits, or with remarks in brackets, are left out: they are not spelt."""
    parts: dict[str, list[tuple[str, str]]] = {"train": [], "dev": [], "test": []}
    for name, _, text in list(csv.reader((data / "en.tsv").open(), delimiter="\t", quoting=csv.QUOTE_NONE))[1:]:
        if re.search(r"[0-9\[\]()*#@&]", text):
            continue
        number = int(hashlib.sha1(name.encode()).hexdigest()[:8], 16) % 10
        parts[{0: "test", 1: "dev"}.get(number, "train")].append((str(data / name), text))
    return parts


def kathleen(data: Path, scratch: Path) -> Parts:
    """In order of their names 1,000 sentences, and 66 each for dev and test."""
    sounds = {file.stem: str(file) for file in data.rglob("*.ogg")}
    table = csv.reader((data / "transcripts.tsv").open(), delimiter="\t", quoting=csv.QUOTE_NONE)
    rows = [(sounds[Path(name).stem], text) for name, _, text in list(table)[1:]]
    return {"train": rows[:1000], "dev": rows[1000:1066], "test": rows[1066:]}


@dataclass(frozen=True, slots=True)
class Set:
    """Recordings and how a model learns from them. config: None: what `init` writes"""

    parts: Callable[[Path, Path], Parts]
    config: Mapping[str, Any] | None = None


SETS = {
    "an4": Set(an4, AN4),
    "yesno": Set(yesno),
    "yesno_heard": Set(yesno_heard),
    "yesno_dev": Set(yesno_dev),
    "digits": Set(digits),
    "asterisk": Set(asterisk, SENTENCES),
    "kathleen": Set(kathleen, SENTENCES),
}


def trained(one: Set, data: Path, seed: int, run: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The test scores of a training, its seconds, and those of the processor."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        parts = one.parts(data, scratch)
        for name, rows in parts.items():
            with open(scratch / f"{name}.csv", "w", newline="") as file:
                csv.writer(file).writerows([("audio", "text"), *rows])
        tree = dict(one.config) if one.config else yaml.safe_load(api.init("speech", scratch / "train.csv"))
        if asked.phones:
            tree = by_phones(tree, asked.phones)
        if HEADS[asked.head]:
            tree["model"] = {**tree["model"], "head": HEADS[asked.head]}
        tree["data"] = {name: str(scratch / f"{name}.csv") for name in parts}
        spent: dict[str, Any] = {}
        if not asked.trained:
            begun, worked = time.perf_counter(), time.process_time()
            api.train(tree, out=run, seed=seed, overrides=list(asked.set))
            spent = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - worked}
        one_run = Trained(run, tree["data"])
        found: dict[str, Any] = {**one_run.scores("test"), **spent}
        if asked.beam not in (1, open_run(run).task.beam):  # type: ignore[attr-defined]
            found[f"beam {asked.beam}"] = one_run.scores("test", {"beam": asked.beam})
        if asked.lm:
            found["with a language model"] = fused(one_run, asked.beam, letters(language_model(run, scratch, seed)))
        if asked.ngrams:
            found["with n-grams"] = fused(one_run, asked.beam, ngrams(asked.ngrams, pronounced=bool(asked.phones)))
    return found


@dataclass(frozen=True, slots=True)
class Trained:
    """A run, and where its data is now."""

    run: Path
    data: Mapping[str, str]

    def scores(self, split: str, options: Mapping[str, Any] | None = None) -> dict[str, float]:
        where = [f"data.{name}={file}" for name, file in self.data.items()]
        return {s.name: s.value for s in api.evaluate(self.run, split=split, options=options, overrides=where).scores}


def by_phones(tree: Mapping[str, Any], lexicon: Path) -> dict[str, Any]:
    """The same with phones as units; the best epoch has the fewest wrong phones."""
    task = {**tree["task"], "tokenizer": "spaces", "lexicon": str(lexicon), "stress": "drop"}
    return {**tree, "task": task, "training": {**tree["training"], "select": "per"}}


def language_model(run: Path, scratch: Path, seed: int) -> Path:
    """Of the characters of the training texts, as the run reads them; those of dev say when to stop."""
    plan = open_run(run).task.plan  # type: ignore[attr-defined]
    for name in ("train", "dev"):
        with open(scratch / f"{name}.csv", newline="") as file, open(scratch / f"{name}.jsonl", "w") as texts:
            for row in csv.DictReader(file):
                texts.write(json.dumps({"text": plan.cleaned(row["text"])}) + "\n")
    tree = {**LETTERS, "data": {name: str(scratch / f"{name}.jsonl") for name in ("train", "dev")}}
    api.train(tree, out=run.with_name(f"{run.name}-letters"), seed=seed)
    return run.with_name(f"{run.name}-letters")


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a search: its options by weight and bonus, and those that are tried."""

    options: Callable[[float, float], Mapping[str, Any]]
    tried: Sequence[tuple[float, float]]


def letters(run: Path) -> Beside:
    tried = [(weight, bonus) for weight in (0.3, 0.5) for bonus in (0.0, 0.5)]
    return Beside(lambda weight, bonus: {"lm": str(run), "lm_weight": weight, "lm_bonus": bonus}, tried)


def ngrams(path: Path, *, pronounced: bool = False) -> Beside:
    """pronounced: words by their pronunciations, which the run has itself"""
    found = NGrams.read(path)
    if found.of_characters:
        tried = [(0.6, 1.5), (0.8, 1.5), (0.8, 2.0), (1.0, 2.0)]
        return Beside(lambda weight, bonus: {"lm": Fusion(found, "unit", weight, bonus)}, tried)
    if pronounced:
        tried = [(0.5, 0.0), (0.6, 0.0), (0.6, 0.5), (0.8, 0.0), (0.8, 0.5), (0.8, 1.0)]
        return Beside(lambda weight, bonus: {"lm": Fusion(found, "word", weight, bonus)}, tried)
    tried, lexicon = [(0.3, 2.0), (0.5, 2.0), (0.5, 4.0), (0.8, 4.0)], str(path.with_suffix(".words"))
    return Beside(lambda weight, bonus: {"lm": Fusion(found, "word", weight, bonus), "lexicon": lexicon}, tried)


def fused(run: Trained, beam: int, beside: Beside) -> dict[str, Any]:
    """The test scores with the weight and the bonus that are best on dev."""
    found = {}
    for weight, bonus in beside.tried:
        found[weight, bonus] = run.scores("dev", {"beam": beam, **beside.options(weight, bonus)})["cer"]
        print(json.dumps({"lm_weight": weight, "lm_bonus": bonus, "dev_cer": found[weight, bonus]}), flush=True)
    best = min(found, key=found.__getitem__)
    scores = run.scores("test", {"beam": beam, **beside.options(*best)})
    return {"lm_weight": best[0], "lm_bonus": best[1], "dev_cer": found[best], **scores}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(SETS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[1])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the config")
    parser.add_argument("--out", type=Path, help="keep the runs here, in a folder for each seed")
    parser.add_argument("--trained", action="store_true", help="train nothing: score the runs that --out has")
    parser.add_argument("--head", choices=list(HEADS), default="ctc", help="what says units; ctc: as the config has it")
    parser.add_argument("--phones", type=Path, metavar="FILE", help="units are phones, by the pronunciations of FILE")
    parser.add_argument("--beam", type=int, default=1, help="score the search with so many texts too")
    parser.add_argument("--lm", action="store_true", help="and with a language model of the training texts")
    parser.add_argument("--ngrams", type=Path, metavar="FILE.arpa", help="and with n-grams of letters, or words")
    args = parser.parse_args()
    if (args.lm or args.ngrams) and args.beam < 2:
        parser.error("--lm and --ngrams have no effect with a beam of 1; add --beam 16.")
    if args.phones and args.lm:
        parser.error("--lm is of characters, and --phones answers with words; leave it out, or take --ngrams of words.")
    if args.trained and args.set:
        parser.error("--set has no effect with --trained, which trains nothing; leave it out.")
    if args.trained and not args.out:
        parser.error("--trained has no effect without the folder of the runs; add --out FOLDER.")
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            run = (args.out or Path(folder)) / f"{args.what}-{seed}"
            found = trained(SETS[args.what], args.data, seed, run, args)
            print(json.dumps({"seed": seed, **found}), flush=True)


if __name__ == "__main__":
    main()

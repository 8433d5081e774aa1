"""The model card of a run: README.md in Hugging Face's format, of nothing but what the run's own files say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open

from recurra.api.folder import open_settings
from recurra.api.given import AnyPath, path_of, text_of
from recurra.api.judging import read_findings
from recurra.api.places import RunFolder, is_group, read_json, recognised, refuse_untrained
from recurra.api.reporting import read_report
from recurra.api.schema import Settings
from recurra.base.atomic import write_text
from recurra.base.contracts import Score
from recurra.base.errors import ConfigError, RunError
from recurra.report.scores import shown
from recurra.tasks.hub import PIPELINE_TAGS
from recurra.training.log import read as read_log

CARD = "README.md"
# A comment at the top of a card of ours; any other README.md is a person's, and stays.
MARK = "# written by recurra from this run's files"
# As Hugging Face writes them: apache-2.0, cc-by-4.0, other.
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,49}")
_USE = {
    "predict": 'predict RUN "some text"',
    "predict_file": "predict RUN --input your_file.csv",
    "generate": 'generate RUN --prompt "some text"',
    "play": "generate RUN --midi piece.mid",
    "similar": "similar RUN some_word",
    "search": 'search RUN "what is in the picture" --images your_folder',
}


def card(run: AnyPath, *, license: str = "unknown") -> Path:
    """Write the model card of a run that has ended, README.md in its folder; return its path.

    license: of the weights, in Hugging Face's words, such as apache-2.0
    Raises RunError for a folder that is no such run, or that has a README.md of another hand; ConfigError for a license
    that is no word.
    """
    from recurra.api.training import use_of  # which writes cards itself

    folder = recognised(path_of(run, "run"))
    refuse_untrained(folder)
    _, settings = open_settings(folder.path, to_train=False)
    task = settings.plan.restore(read_json(folder.task), str(folder.task))
    return write_card(folder, settings, use=use_of(task, settings), license=license)


def write_card(folder: RunFolder, settings: Settings, *, use: str = "predict", license: str = "unknown") -> Path:
    """The same with the settings of the run at hand. use: what a person wants next of it"""
    path = folder.path / CARD
    if not _LICENSE.fullmatch(text_of(license, "license")):
        raise ConfigError(f"license: expected a word such as apache-2.0, got '{license}'.")
    if not may_write(folder):
        raise RunError(f"{path}: was not written by recurra, and stays. Move it away to have a card in its place.")
    write_text(path, _card(folder, settings, use, license))
    return path


def may_write(folder: RunFolder) -> bool:
    """Whether there is no README.md yet, or one that recurra wrote: another hand's stays."""
    path = folder.path / CARD
    if not path.exists():
        return True
    with open(path, encoding="utf-8", errors="replace") as file:
        begins = file.read(len(MARK) + 8)
    return not begins or MARK in begins


def _card(folder: RunFolder, settings: Settings, use: str, license: str) -> str:
    report = read_report(folder)
    head = _metadata(folder, settings, report.scores, license)
    # libyaml's: PyYAML's own takes 8 ms for the scores of a small run, a tenth of what such a run's report takes.
    front = yaml.dump(head, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    body = "\n".join(_body(folder, settings, report.scores, report.baselines, use))
    return f"---\n{MARK}\n{front}---\n\n{body}\n"


def _metadata(folder: RunFolder, settings: Settings, scores: Iterable[Score], license: str) -> dict[str, Any]:
    """The YAML on top: what hubs index. A score that is no number is left out."""
    task = str(settings.tree["task"]["name"])
    tag = PIPELINE_TAGS.get(task)
    by_split: dict[str, list[Score]] = {}
    for score in scores:
        if score.value == score.value and abs(score.value) != float("inf"):
            by_split.setdefault(score.split, []).append(score)
    results = [
        {
            "task": {"type": tag or task, "name": task},
            "dataset": {"type": "local-files", "name": _data_name(settings, split), "split": split},
            "metrics": [{"type": one.name, "name": one.name, "value": one.value} for one in several],
        }
        for split, several in by_split.items()
    ]
    name = folder.path.resolve().name
    return {
        "library_name": "recurra",
        "license": license,
        **({"pipeline_tag": tag} if tag else {}),
        "tags": ["recurra", task, *_words_of_model(settings)],
        "model-index": [{"name": name, "results": results}],
    }


def _words_of_model(settings: Settings) -> list[str]:
    """The names of the components, and the cells."""
    found = [settings.tree["model"]["name"]]
    for part in settings.tree["model"].values():
        if isinstance(part, Mapping):
            found += [part[name] for name in ("name", "cell") if isinstance(part.get(name), str)]
    return [word for word in dict.fromkeys(map(str, found)) if word != "none"]


def _body(
    folder: RunFolder, settings: Settings, scores: Sequence[Score], baselines: Mapping[str, Sequence[Score]], use: str
) -> Iterator[str]:
    yield from (f"# {_cell(folder.path.resolve().name)}", "")
    yield f"A model for the task `{settings.tree['task']['name']}`, trained by recurra {_version(folder)}."
    yield from ("", "## Model", "", *_model(folder, settings))
    yield from ("", "## Data", "", *_data(folder, settings))
    yield from ("", "## Scores", "", *_scores(folder, scores, baselines))
    yield from ("", "## Limits", "", *_limits(folder, settings, scores))
    yield from ("", "## Use", "", "```console", f"$ recurra {_USE[use].replace('RUN', 'FOLDER')}", "```", "")
    yield "FOLDER is this folder, or what `recurra pull` makes of it. `config.yaml` has every option of the training."


def _model(folder: RunFolder, settings: Settings) -> Iterator[str]:
    words = ", ".join(f"`{word}`" for word in _words_of_model(settings))
    yield f"- Components: {words}"
    yield f"- Parameters: {_num_parameters(folder.weights):,}, in `{folder.weights.name}`"
    ends = [line for line in read_log(folder.log) if line.get("event") == "end"]
    if ends:
        yield f"- Steps: {ends[-1]['step']:,}; the weights are those of step {ends[-1].get('best_step')}"
    yield f"- Seed: {settings.training.seed}"


def _num_parameters(path: Path) -> int:
    """Of all tensors in a file, from its header."""
    total = 0
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - no mapping
            size = 1
            for extent in file.get_slice(name).get_shape():
                size *= extent
            total += size
    return total


def _data(folder: RunFolder, settings: Settings) -> Iterator[str]:
    """The files by their names alone: where they lay on somebody's disk is nobody's business."""
    for split in ("train", "dev", "test"):
        if settings.tree["data"].get(split) is not None:
            yield f"- {split}: {_cell(_data_name(settings, split))}"
    how = settings.tree["data"].get("split")
    if isinstance(how, Mapping):
        yield f"- What has no file of its own was split off: {_cell(json.dumps(how, ensure_ascii=False))}"
    fingerprint = read_json(folder.task).get("data")
    if fingerprint:
        yield f"- Fingerprint of the examples: {_cell(str(fingerprint))}"
    yield "- Where the data came from, and under which terms, the run does not know."


def _data_name(settings: Settings, split: str) -> str:
    given = settings.tree["data"].get(split) or settings.tree["data"].get("train")
    paths = [given] if isinstance(given, str) else list(given or ())
    # Behind the ? of an address may stand a key to it.
    return (
        ", ".join(Path(str(path).partition("?")[0] if "://" in str(path) else str(path)).name for path in paths)
        or "rows in memory"
    )


def _scores(folder: RunFolder, scores: Sequence[Score], baselines: Mapping[str, Sequence[Score]]) -> Iterator[str]:
    """A row a score, with the same of each baseline, and over the runs of the group that the run is one of."""
    spreads = _spreads(folder)
    beside = {(name, one.split, one.name): one for name, several in baselines.items() for one in several}
    heads = ["score", "split", "this model", *baselines, *(["mean and deviation of runs"] if spreads else [])]
    yield _row(heads)
    yield _row(["---"] * len(heads))
    for one in scores:
        others = [beside.get((name, one.split, one.name)) for name in baselines]
        cells = [one.name, one.split, shown(one.value, one.unit)]
        cells += [shown(other.value, other.unit) if other else "" for other in others]
        yield _row([*cells, *([spreads.get((one.split, one.name), "")] if spreads else [])])
    if not spreads:
        yield from ("", "These are of one run: how much they change with the seed was not measured.")


def _spreads(folder: RunFolder) -> dict[tuple[str, str], str]:
    """By split and score, over the runs of a group, as its summary.json has them; of a run alone nothing."""
    path = folder.path.resolve().parent / "summary.json"
    if not path.is_file() or not is_group(path.parent):
        return {}
    try:
        return {
            (one["split"], one["name"]): f"{shown(one['mean'], one['unit'])} ± {shown(one['deviation'], one['unit'])} "
            f"of {len(one['values'])}"
            for one in read_json(path)
            if one["mean"] is not None and one["deviation"] is not None
        }
    except (KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged ({type(error).__name__}: {error}). Copy the folder again.") from None


def _limits(folder: RunFolder, settings: Settings, scores: Sequence[Score]) -> Iterator[str]:
    """What the run found out about itself, and what it did not look at."""
    for one in read_findings(folder) or ():
        yield f"- {_cell(f'{one.word}: {one.evidence}')}"
    splits = list(dict.fromkeys(score.split for score in scores))
    yield f"- Scored on {' and '.join(splits) or 'nothing'} of the data above, and on nothing else."
    if "dev" in splits and "test" not in splits:
        yield "- No test rows: the epoch was chosen by the dev rows that it is scored on, so the scores flatter it."
    yield "- Bias, safety and other languages or domains than those of the data were not examined."


def _version(folder: RunFolder) -> str:
    return _cell(str(read_json(folder.mark).get("recurra")))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """Text of the data as it is: neither Markdown nor HTML, in one line."""
    plain = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", plain) if re.search(r"[\\`*\[\]<>|#]", plain) else plain

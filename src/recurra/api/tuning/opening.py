"""The beginning of a search: what its folder says, the study, and by which score trials are compared."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from recurra import __version__
from recurra.api.callbacks import NoCallback
from recurra.api.places import STUDY, is_search
from recurra.api.prepare import prepare, selected
from recurra.api.tuning.options import FIELDS, TuneOptions, read_search
from recurra.api.tuning.space import SearchSpace, stored_of
from recurra.api.tuning.study import ENDED, Study, hidden
from recurra.base.atomic import write_text
from recurra.base.contracts import Callback
from recurra.base.errors import ConfigError, RunError
from recurra.base.shell import as_word
from recurra.training import FolderLock, TakenError

# Tenths of a second in which a process waits for its turn.
TURNS = 600


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Only one process of a folder at a time begins, and looks for trials that died."""
    with ExitStack() as stack:
        for attempt in range(TURNS):
            try:
                stack.enter_context(FolderLock(folder))
                break
            except TakenError:
                if attempt == TURNS - 1:
                    raise
                time.sleep(0.1)
        yield


class Opening:
    """Begins a search in a folder, or finds it there.

    place: tells this folder from others      select, unit: the score by which trials are compared, and its unit
    """

    def __init__(self, space: SearchSpace, options: TuneOptions, folder: Path, seed: int, watch: Callback) -> None:
        self._space, self._options, self._folder, self._seed, self._watch = space, options, folder, seed, watch
        self.place = self._begin()
        self.select, self.unit, self._direction = self._compared()
        self.study = self._open()

    def _begin(self) -> str:
        """Write down what is searched, or find it there; a word that tells this folder from others."""
        place = uuid.uuid4().hex
        if is_search(self._folder):
            kept = read_search(self._folder)
            if kept["digest"] != self._space.digest:
                raise RunError(
                    f"{self._folder}: holds a search of other settings. Choose another folder with --out, or go on "
                    f"with that one: recurra tune {as_word(self._folder)}"
                )
            place = str(kept["place"])
        elif any((self._folder / taken).exists() for taken in ("run.json", "group.json", "config.yaml")):
            raise RunError(f"{self._folder}: already holds a run or a config; choose another folder with --out.")
        options = {name: getattr(self._options, name) for name in FIELDS if name != "hours"}
        said = {
            "format": 1,
            "recurra": __version__,
            "name": self._space.document.name,
            "digest": self._space.digest,
            "place": place,
            "options": {**options, "study": options["study"] and hidden(options["study"])},
            "config": self._space.document.tree,
        }
        write_text(self._folder / STUDY, json.dumps(said, indent=1, allow_nan=False) + "\n")
        return place

    def _open(self) -> Study:
        """The study. Raises ConfigError where it began in another way."""
        how = {"sampler": self._options.sampler, "pruner": self._options.pruner, "seed": self._seed}
        study = Study(
            self._options.study or self._folder / "study.db",
            f"recurra-{self._space.digest[:16]}",
            direction=self._direction,
            place=self.place,
            sampler=self._options.sampler,
            pruner=self._options.pruner,
            seed=self._seed,
        )
        if self._options.study is not None:
            self._watch.note(f"--study: {hidden(study.url)}")
        known = study.facts()
        for option, value in how.items():
            if known.get(option, value) != value:
                raise ConfigError(
                    f"--{option} {value}: the search in {hidden(study.url)} began with {known[option]}; leave it so."
                )
        if not known:
            study.keep(**how)
            self._add_default(study)
        elif trials := study.trials():
            ended = sum(one.state in ENDED for one in trials)
            self._watch.note(f"{hidden(study.url)}: {ended} of {self._options.trials} trials have ended; it goes on.")
        return study

    def _compared(self) -> tuple[str, str, str]:
        """By which score trials are compared, its unit, and which way is better: by the data with the defaults."""
        prepared = prepare(self._space.default, NoCallback())
        select = selected(self._space.default, prepared, NoCallback())
        score = next(s for s in prepared.task.possible_scores(prepared.splits["dev"]) if s.name == select)
        higher = score.better == "higher"
        names = ", ".join(self._space.names)
        self._watch.note(f"searching {names} by dev {select} ({'higher' if higher else 'lower'} is better).")
        if own := [name for name in self._space.names if name.startswith("task.")]:
            self._watch.note(f"{', '.join(own)}: compare only scores that mean the same for all of its values.")
        return select, score.unit, "maximize" if higher else "minimize"

    def _add_default(self, study: Study) -> None:
        """Let the first trial be the config without a search, where its values are in the spaces."""
        defaults = self._space.defaults()
        if defaults is None:
            self._watch.note("the config's own values are not all in the spaces, so the first trial is drawn.")
            return
        self._watch.note("the first trial has the config's own values.")
        study.add({name: stored_of(self._space.spaces[self._space.names[name]], v) for name, v in defaults.items()})

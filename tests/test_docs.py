"""What the pages say is so: Python blocks run, commands parse, links lead somewhere, the reference fits the code."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from recurra.cli import main
from recurra.cli.arguments import parse
from recurra.cli.commands import COMMANDS
from recurra.cli.failures import UsageError
from recurra.report import png

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md")
    for path in ROOT.glob(pattern)
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMES_A_FILE = re.compile(r"`(\w+\.py)`:\s*\Z")
RUN_ELSEWHERE = {"docs/concepts/gradients.md"}  # tests/doctor/test_pages.py: with what it prints
every_page = pytest.mark.parametrize("page", PAGES)


@cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> Iterator[tuple[str, str]]:
    """The blocks in these languages, each with the text before it."""
    text = text_of(page)
    for found in FENCE.finditer(text):
        if found[1] in languages:
            yield text[: found.start()], found[2]


def shell_lines(page: str) -> list[str]:
    """The commands that a page tells to type, without their output."""
    typed = [line[2:] for _, block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    bare = [line for _, block in blocks(page, "") for line in block.splitlines() if line.startswith("recurra ")]
    return typed + bare


def commands(page: str) -> list[list[str]]:
    """The words of every `recurra ...` of a page, in blocks and in running text."""
    inline = re.findall(r"`(recurra [^`]+)`", FENCE.sub("", text_of(page)))
    lines = [line[line.index("recurra ") :] for line in shell_lines(page) if re.search(r"(^|\| )recurra ", line)]
    lines += re.findall(r"`(recurra [^`]+)`", "".join(b for _, b in blocks(page, "text", "console")))
    return [_until_the_shell(shlex.split(line.replace("\n", " "))) for line in (*inline, *lines)]


def _until_the_shell(words: list[str]) -> list[str]:
    """A command's own words, up to a pipe or an ampersand."""
    return words[1 : next((n for n, word in enumerate(words) if word in ("|", "&", ">")), len(words))]


def parsed(words: list[str]) -> argparse.Namespace | None:
    """What the command line makes of the words; None where it only prints, or the words are a command's name."""
    if words in (["--help"], ["--version"]) or " ".join(words) in COMMANDS:  # `recurra init`: only its name
        return None
    word = next(" ".join(words[:n]) for n in (1, 2) if " ".join(words[:n]) in COMMANDS)
    return parse(word, COMMANDS[word], words[len(word.split()) :])


@cache
def make_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def anchors(page: str) -> set[str]:
    """The anchors that hosts of Markdown make of headings: small letters, no punctuation, hyphens for spaces."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_index_leads_to_every_page():
    there = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\(([^)#]+)", text_of("docs/index.md"))}
    pages = {path.resolve() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(str(path.relative_to(ROOT)) for path in pages - there) == ["docs/index.md"]


def of_the_site() -> tuple[list[str], dict[str, str]]:
    """The pages of the site in its order, as files of the repository; where the site has those outside docs/."""
    config = yaml.safe_load(text_of("mkdocs.yml"))
    outside = config["extra"]["outside"]
    sources = {here: path for path, here in outside.items()}
    listed = [page for section in config["nav"] for pages in section.values() for page in pages]
    named = [page if isinstance(page, str) else next(iter(page.values())) for page in listed]
    return [sources.get(page, f"docs/{page}") for page in named], outside


def test_the_site_has_every_page_once_in_the_order_of_the_index():
    pages, outside = of_the_site()
    assert sorted(pages) == sorted({*(page for page in PAGES if page.startswith("docs/")), *outside} - {"LICENSE"})
    links = re.findall(r"\]\(([^)#]+)", text_of("docs/index.md").partition("## Start")[2])
    linked = [(ROOT / "docs" / link).resolve().relative_to(ROOT).as_posix() for link in links]
    assert [page for page in pages if page in linked] == list(dict.fromkeys(linked))


def test_links_that_leave_the_docs_lead_to_what_the_site_has_too():
    _, outside = of_the_site()
    for page in (page for page in PAGES if page.startswith("docs/") or page in outside):
        for target in re.findall(r"\]\(([^)#]+)[)#]", FENCE.sub("", text_of(page))):
            there = ((ROOT / page).parent / target).resolve().relative_to(ROOT).as_posix()
            assert there.startswith("docs/") or there in outside, f"{page}: the site has no {there} (mkdocs.yml, extra)"


def test_the_gallery_is_small_and_shows_each_of_its_pictures_with_words_for_it():
    shown = re.findall(r"!\[(.+?)\]\(gallery/([\w-]+\.webp)\)", text_of("docs/gallery.md"))
    files = {path.name: path for path in (ROOT / "docs" / "gallery").iterdir()}
    assert sorted(name for _, name in shown) == sorted(files)
    assert all(len(words.split()) > 3 for words, _ in shown)
    assert sum(path.stat().st_size for path in files.values()) < 1_500_000


@every_page
def test_no_page_has_the_marks_of_a_conflict(page):
    assert not re.findall(r"^(?:<{7} .*|={7}|>{7} .*)$", text_of(page), re.MULTILINE)


def test_the_pages_are_found():
    assert {"README.md", "docs/architecture.md", "docs/guide/from-csv.md", "docs/adding/cell.md"} <= set(PAGES)
    assert len(commands("docs/guide/from-csv.md")) > 5


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks(page, "python")) and page not in RUN_ELSEWHERE])
def test_every_python_block_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    namespace: dict[str, object] = {"__name__": "docs"}
    named = []
    for number, (before, code) in enumerate(blocks(page, "python"), start=1):
        if name := NAMES_A_FILE.search(before):  # "a file of your own, `leaky.py`:" is followed by that file
            (tmp_path / name[1]).write_text(code, encoding="utf-8")
            named.append(name[1].removesuffix(".py"))
        exec(compile(code, f"{page}, python block {number}", "exec"), namespace)
    for name in named:
        sys.modules.pop(name, None)


@every_page
def test_every_command_parses(page):
    for words in commands(page):
        try:
            parsed(words)
        except (UsageError, StopIteration) as error:
            pytest.fail(f"{page}: recurra {shlex.join(words)}: {error or 'no such command'}")


@pytest.mark.parametrize("wrong", ["publish runs/first", "train config.yaml --epochs 3", "init classification"])
def test_a_command_that_is_not_there_would_be_found(wrong):
    with pytest.raises((UsageError, StopIteration)):
        parsed(wrong.split())


@every_page
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", FENCE.sub("", text_of(page))):
        assert "://" not in target, f"{page} points outside: {target}"
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), f"{page}: there is no {target}"
        assert not anchor or anchor in anchors(there.resolve().relative_to(ROOT).as_posix()), f"{page}: {target}"


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("examples/")])
def test_every_file_that_is_named_is_there(page):
    for path in re.findall(r"`((?:src|tests|docs|examples|benchmarks)/[\w./-]*)`", FENCE.sub("", text_of(page))):
        assert (ROOT / path).exists(), f"{page}: there is no {path}"


@pytest.mark.parametrize("name", ["config.md", "cells.md", "python.md", "verbs.md", "layers.md", "extension.md"])
def test_the_reference_is_what_the_code_says(name):
    written = text_of(f"docs/reference/{name}")
    assert written == make_reference().pages()[name], "run `python docs/make_reference.py`"


@pytest.mark.parametrize(
    ("page", "module"),
    [("python", "recurra"), ("python", "recurra.sklearn"), ("verbs", "recurra.api"), ("layers", "recurra.nn")],
)
def test_the_python_pages_have_every_public_name_with_a_docstring(page, module):
    heads = re.findall(r"^### (\w+)\n\n(```py|\w)?", text_of(f"docs/reference/{page}.md"), re.MULTILINE)
    described = {name for name, begins in heads if begins}
    public = set(importlib.import_module(module).__all__) - {"__version__", "EXPECTED_FAILED_CHECKS"}
    assert public <= described


def test_architecture_names_every_room_on_its_floor():
    source = text_of("tests/test_floors.py")
    floors = re.findall(r"^    \{(.*)\},$", source[source.index("FLOORS = [") : source.index("\n]")], re.MULTILINE)
    assert len(floors) > 5
    table = dict(re.findall(r"^\| (\d+) \| (.*) \|$", text_of("docs/architecture.md"), re.MULTILINE))
    for floor, rooms in enumerate(floors):
        named = set(re.findall(r"`(\w+)/`", table[str(floor)]))
        assert named == set(re.findall(r'"(\w+)"', rooms)), f"floor {floor}"


def test_readme_names_the_two_commands_and_they_exist():
    assert shell_lines("README.md")[:2] == ["make demo", "make test"]
    makefile = text_of("Makefile")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in ("demo", "test", "check"))


def test_readme_names_every_cell_and_every_command():
    row = {line.split("|")[1].strip(): line for line in text_of("README.md").splitlines() if line.startswith("| ")}
    shipped = re.findall(r"^## (\w+)$", make_reference().pages()["cells.md"], re.MULTILINE)
    assert set(shipped) == set(re.findall(r"`(\w+)`", row["[cells](docs/reference/cells.md)"]))
    assert set(COMMANDS) == set(re.findall(r"`([\w ]+)`", row["commands"]))


def test_the_page_of_tasks_names_what_a_task_has():
    from recurra.tasks import TASKS, Classification

    # Every configuration of recurra's own has `ReadsOnce`, and its rows have these members in its place.
    of_rows = {"key", "stratum"}
    config, task = text_of("docs/adding/task.md").split("\n## Capabilities\n")[0].split("\n## The task\n")
    for part, kinds in ((config, [TASKS[word] for word in TASKS]), (task, [Classification])):
        members = re.findall(r"^\| `(\w+)", part, re.MULTILINE)
        assert len(members) > 5
        assert [
            name for name in members if name not in of_rows and not any(hasattr(kind, name) for kind in kinds)
        ] == []


def test_the_first_guide_works_from_its_file_to_its_scores(tmp_path, monkeypatch, capsys):
    page = "docs/guide/from-csv.md"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recurra.report.folder.pictures", png.pictures)
    _, make_file = next(blocks(page, "python"))
    exec(compile(make_file, page, "exec"), {})
    for line in shell_lines(page):
        words = shlex.split(line)[1:]
        words += ["--set", "training.epochs=1"] if words[0] == "train" else []
        assert main(words) == 0, f"{line}: {capsys.readouterr().err}"
    assert {path.name for path in (tmp_path / "runs/parcels").glob("*.png")} == {"confusion.png", "curves.png"}
    assert len((tmp_path / "predicted.csv").read_text(encoding="utf-8").splitlines()) == 201


def test_the_commands_beside_those_of_other_libraries_run(tmp_path, monkeypatch, capsys):
    page = "docs/coming-from.md"
    monkeypatch.chdir(tmp_path)
    _, make_files = next(blocks(page, "python"))
    exec(compile(make_files, page, "exec"), {})
    tiny = ["--set", "training.epochs=1", "--set", "model.encoder.hidden_size=4"]
    for line in shell_lines(page):
        words = shlex.split(line)[1:]
        words += tiny if words[0] == "train" else []
        words += ["--force"] if words[0] == "init" and Path(words[-1]).exists() else []
        assert main(words) == 0, f"{line}: {capsys.readouterr().err}"
    assert len((tmp_path / "predicted.csv").read_text(encoding="utf-8").splitlines()) == 81


def test_every_option_that_stands_beside_another_library_s_word_is_one():
    from recurra.api.schema import schema_for
    from recurra.tasks import TASKS

    rows = "".join(line for line in text_of("docs/coming-from.md").splitlines(keepends=True) if line.startswith("| "))
    named = set(re.findall(r"`((?:task|data|training|model\.(?:inputs|encoder|head))\.[\w.]+)", rows))
    keys = {path.rpartition(".")[2] for path in named}
    known = {place for task in TASKS for key in keys for place in schema_for(task).places(key)}
    assert len(named) > 15
    assert named - known == set()


def test_the_mistakes_of_the_config_guide_are_those_that_check_names(tmp_path, monkeypatch, capsys):
    page = "docs/guide/config.md"
    monkeypatch.chdir(tmp_path)
    (config,) = (block for _, block in blocks(page, "yaml") if "lsmt" in block)
    Path("five.yaml").write_text(config, encoding="utf-8")
    said, *_ = (block for _, block in blocks(page, "text"))
    assert main(["check", "five.yaml"]) == 2
    assert capsys.readouterr().err == said

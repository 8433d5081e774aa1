"""What `make docs` needs beside mkdocs.yml: pages from outside docs/, anchors as code hosts make them, equations.

Links of the pages are relative and lead to files of the repository, so that they work on a code host. README.md and
others lie outside docs/; `extra.outside` of mkdocs.yml makes pages of the site of them, and links are rewritten here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=[)#])")


def slug(heading: str, separator: str = "-") -> str:
    """The anchor of a heading, as hosts of Markdown make it: small letters, no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def formula(source: str, *_: Any, **__: Any) -> str:
    """LaTeX as MathML, which browsers draw without a script."""
    return convert(source.replace("{aligned}", "{align*}"), display="block")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Anchors, and the blocks of equations."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slug
    fences = [{"name": "math", "class": "math", "format": formula}]
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = fences
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that lie outside docs/."""
    for path, here in config.extra["outside"].items():
        files.append(File.generated(config, here, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Links of the repository as links of the site."""
    here, outside = page.file.src_uri, config.extra["outside"]
    return LINK.sub(lambda found: site_link(found[1], here, outside), markdown)


def site_link(link: str, page: str, outside: Mapping[str, str]) -> str:
    """A link of a page, from where the page is on the site. link: as the repository has it"""
    source = {here: path for path, here in outside.items()}.get(page, f"docs/{page}")
    target = Path(os.path.normpath(Path(source).parent / link)).as_posix()
    if not (ROOT / target).exists():  # no link, or a broken one, which mkdocs names
        return link
    return os.path.relpath(outside.get(target, target.removeprefix("docs/")), Path(page).parent)

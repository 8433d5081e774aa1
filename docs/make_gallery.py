"""Train the demos, open their reports and the page of `recurra serve` in Chromium, write docs/gallery: `make gallery`.

    python docs/make_gallery.py [--runs runs/gallery] [--chromium /usr/bin/chromium]

A demo that is in the folder of runs already is not trained again. The four take about eight minutes on one core.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from page import Found, serving, warm_up  # noqa: E402  the same steps as `make page`

PYTHON = (
    os.environ.get("RECURRA_PYTHON") or sys.executable
)  # where the browser's driver is installed apart from recurra
FOLDER = ROOT / "docs" / "gallery"
TASKS = {
    "dates": "translation",
    "names": "classification",
    "tagging": "tagging",
    "language_model": "language_model",
}
# What is typed into the page.
ASKED = {
    "dates": "4. März 2001",
    "names": "Schweizer Franken",
    "tagging": "4 March 2001, 12:30, 5 km, 19% and 250",
    "language_model": "The import statement ",
}
# Parts of reports, by the beginning of their headings; None is the top of the page.
PARTS: dict[str, tuple[str, str | None]] = {
    "report-dates": ("dates", None),
    "report-attention": ("dates", "Attention"),
    "report-curves": ("dates", "Curves"),
    "report-confusion": ("names", "Confusion"),
    "report-tagging": ("tagging", None),
    "report-language_model": ("language_model", "Written"),
}
WIDE, PHONE = (1000, 720), (390, 800)  # pixels
QUALITY = 82  # of WebP: letters stay sharp, and a picture takes 15 to 100 KB


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=Path, default=ROOT / "runs" / "gallery")
    options.add_argument("--chromium", default="/usr/bin/chromium")
    args = options.parse_args()
    runs = {name: args.runs / name for name in TASKS}
    for name, run in runs.items():
        if not (run / "report.html").exists():
            recurra("demo", name, "--out", str(run))
    recurra("inspect", str(runs["names"]), ASKED["names"], "--html", str(args.runs / "inspect.html"))
    found = Found([])
    FOLDER.mkdir(exist_ok=True)
    with serving([*runs.values()]) as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        for name, picture in (*of_reports(browser, args.runs, found), *of_the_page(browser, url, found)):
            path = FOLDER / f"{name}.webp"
            Image.open(io.BytesIO(picture)).convert("RGB").save(path, quality=QUALITY, method=6)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} KB")
        browser.close()
    for problem in found.problems:
        print(problem, file=sys.stderr)
    return bool(found.problems)


def of_reports(browser: Browser, runs: Path, found: Found) -> Iterator[tuple[str, bytes]]:
    """Pictures of what training and `recurra inspect` write, as PNG."""
    for name, (run, heading) in PARTS.items():
        with window(browser, WIDE, "light") as page:
            opened(page, runs / run / "report.html", found)
            part = page.locator("section", has=page.locator("h2", has_text=heading)) if heading else page
            yield name, part.screenshot()
    with window(browser, (1000, 900), "light") as page:
        opened(page, runs / "inspect.html", found)
        yield "inspect", page.screenshot()


def of_the_page(browser: Browser, url: str, found: Found) -> Iterator[tuple[str, bytes]]:
    """Pictures of the page of `recurra serve`, after a question."""
    shown = [(f"page-{name}", name, WIDE, "light") for name in TASKS]
    shown += [("page-dark", "dates", WIDE, "dark"), ("page-phone", "tagging", PHONE, "light")]
    for picture, name, size, scheme in shown:
        with window(browser, (size[0], 400), scheme) as page:
            found.watch(page, url)
            warm_up(page, url, {"name": name, "task": TASKS[name]}, ASKED[name], found, picture)
            yield picture, page.screenshot(full_page=True)


@contextmanager
def window(browser: Browser, size: tuple[int, int], scheme: str) -> Iterator[Page]:
    """A window of so many pixels, in light or dark."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


def opened(page: Page, file: Path, found: Found) -> None:
    """Open a page of a run, which may ask no host for anything."""
    url = f"file://{file.resolve()}"
    found.watch(page, url)
    page.goto(url)


def recurra(*words: str) -> None:
    """Run a command of recurra with this Python."""
    subprocess.run([PYTHON, "-m", "recurra", *words], check=True)  # noqa: S603  words of this file


if __name__ == "__main__":
    sys.exit(main())

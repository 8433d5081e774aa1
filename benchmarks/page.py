"""Use the page of `recurra serve` as a person would, in Chromium, and take pictures of it.

    python benchmarks/page.py RUN [RUN ...] [--out runs/page] [--chromium /usr/bin/chromium]

Each run is asked on a wide screen and on a phone, in light and in dark, with the keyboard alone. A run that hears is
spoken to: --sound FILE.wav is what Chromium's fake microphone gives, and what is then given as a file. Of a run that
compares pictures with texts, --images FOLDER is searched by words and by one of its pictures, and the texts of
--texts FILE by that picture. The exit code
is 1 if the page asks another host for anything, writes an error to the console, is wider than the screen, or does not
answer.
Needs Chromium and the package playwright (`make page` installs it; it downloads no browser).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

# Eight years of months, for the run that `recurra demo airline` makes.
MONTHS = [f"{1960 + k // 12}-{k % 12 + 1:02d}" for k in range(96)]
PASSENGERS = [round((300 + 3 * k) * (1 + 0.2 * math.sin(k * math.pi / 6)), 1) for k in range(96)]
# What is typed for each task, and what must then be there.
TEXTS = {
    "classification": ("Müller", ".bars dt"),
    "translation": ("4. März 2001", ".pair line"),
    "tagging": ("We met in Berlin on 4 March 2001.", ".tagged, .words"),
    "language_model": ("What is the ", ".chips button"),
    "music": ("C4+E4+G4 F4+A4+C5 G4+B4+D5", ".roll .note"),
    "autoencoding": (json.dumps([[0, 8, 15, 8, 0, 0, 0, 0]] * 8), "canvas.grey, .forecast .ahead"),
    "forecasting": (json.dumps({"month": MONTHS, "passengers": PASSENGERS}), ".forecast .ahead"),
}
SCREENS = {"wide": (1200, 860), "phone": (375, 740)}
SECONDS = 20_000


@dataclass
class Found:
    """What was wrong, in sentences."""

    problems: list[str]

    def watch(self, page: Page, url: str) -> None:
        """Listen to what the page asks for and complains about."""

        def request(one: Request) -> None:
            if not one.url.startswith((url, "data:", "blob:")):
                self.problems.append(f"asked another host: {one.url}")

        def console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.problems.append(f"console: {message.text}")

        page.on("request", request)
        page.on("console", console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("runs", metavar="RUN", type=Path, nargs="+")
    options.add_argument("--out", type=Path, default=Path("runs/page"))
    options.add_argument("--chromium", default="/usr/bin/chromium")
    options.add_argument("--text", help="type this instead of the text for the task")
    options.add_argument("--sound", type=Path, help="a WAV file that is said to runs that hear")
    options.add_argument("--images", type=Path, help="a folder of pictures for runs that compare them with texts")
    options.add_argument("--texts", type=Path, help="a file of texts for them too, with --images")
    args = options.parse_args()
    if args.texts and not args.images:
        options.error("--texts has no effect without --images, whose first picture is what they are searched by.")
    args.out.mkdir(parents=True, exist_ok=True)
    found = Found([])
    with serving(args.runs, args.images, args.texts) as url, sync_playwright() as driver:
        words = ["--no-sandbox", *(microphone(args.sound) if args.sound else [])]
        browser = driver.chromium.launch(executable_path=args.chromium, args=words)
        for model in models(browser, url):
            for screen, (width, height) in SCREENS.items():
                for scheme in ("light", "dark"):
                    context = browser.new_context(
                        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=2
                    )
                    page = context.new_page()
                    found.watch(page, url)
                    where = f"{model['name']} on {screen}"
                    if model["rate"] and args.sound:
                        speak(page, url, model, args.sound, found, where)
                    elif "search" in model["uses"]:
                        search(page, url, model, args.text, args.images, found, where)
                    else:
                        warm_up(page, url, model, args.text, found, where)
                    path = args.out / f"{model['task']}-{model['name']}-{screen}-{scheme}.png"
                    page.screenshot(path=path, full_page=True)
                    print(path)
                    if "search_texts" in model["uses"]:
                        search_texts(page, args.images, where)
                        look(page, found, f"{where}, texts")
                        page.screenshot(path=path.with_stem(f"{path.stem}-texts"), full_page=True)
                    for word in model["uses"]:
                        if word in ALSO:
                            ALSO[word](page)
                            look(page, found, f"{model['name']}, {word}, on {screen}")
                            page.screenshot(path=path.with_stem(f"{path.stem}-{word}"), full_page=True)
                    context.close()
        browser.close()
    for problem in found.problems:
        print(problem, file=sys.stderr)
    return bool(found.problems)


def warm_up(page: Page, url: str, model: dict[str, Any], text: str | None, found: Found, where: str) -> None:
    """Open the page, type a text, and wait for the answer, with the keyboard alone."""
    usual, answer = TEXTS[model["task"]]
    page.goto(f"{url}/#{model['name']}")
    page.wait_for_selector("#text:focus", timeout=SECONDS)
    page.keyboard.type(text or usual)
    if model["task"] != "language_model":
        page.keyboard.press("Enter")
    page.wait_for_selector(answer, state="attached", timeout=SECONDS)
    page.wait_for_selector("#result:not(.waiting)", timeout=SECONDS)
    if model["task"] == "language_model":
        page.keyboard.press("Enter")
        page.wait_for_selector(".written[data-done]", timeout=SECONDS)
    look(page, found, where)


def microphone(sound: Path) -> list[str]:
    """What makes Chromium take a file for what is said, once and not in circles."""
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound.resolve()}%noloop",
    ]


def speak(page: Page, url: str, model: dict[str, Any], sound: Path, found: Found, where: str) -> None:
    """Record with the keyboard until the file has been said, then give the file itself; both must say something."""
    page.context.grant_permissions(["microphone"])
    page.goto(f"{url}/#{model['name']}")
    page.wait_for_selector("#controls button:focus:text-is('Record')", timeout=SECONDS)
    page.keyboard.press("Enter")
    page.wait_for_selector("#controls button:focus:text-is('Stop')", timeout=SECONDS)
    begun, came = time.monotonic(), ""
    with wave.open(str(sound)) as file:
        seconds = file.getnframes() / file.getframerate()
    while time.monotonic() < begun + seconds + 0.5:
        page.wait_for_timeout(100)
        came = came or page.inner_text("#result .changing") or page.inner_text("#result .stretches")
    if not model["hears"] and not came:
        found.problems.append(f"{where}: nothing was shown while it was spoken to")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result[data-heard]", timeout=SECONDS)
    recorded = page.inner_text("#result .stretches")
    page.set_input_files("#controls input[type=file]", str(sound))
    page.wait_for_selector("#result[data-heard] .stretches li", timeout=SECONDS)
    given = page.inner_text("#result .stretches")
    print(f"{where}: recorded {' '.join(recorded.split())!r}; the file: {' '.join(given.split())!r}")
    if not recorded.strip() or not given.strip():
        found.problems.append(f"{where}: said nothing of {sound}")
    look(page, found, where)


def search(
    page: Page, url: str, model: dict[str, Any], text: str | None, images: Path, found: Found, where: str
) -> None:
    """Search by words with the keyboard, then by the first picture of the folder, which must come first."""
    page.goto(f"{url}/#{model['name']}")
    page.wait_for_selector("#text:focus", timeout=SECONDS)
    page.keyboard.type(text or "a red circle")
    page.wait_for_selector(".found canvas", timeout=SECONDS)
    page.wait_for_selector("#result:not(.waiting)", timeout=SECONDS)
    look(page, found, where)
    first = sorted(images.rglob("*.png"))[0]
    page.set_input_files("#controls input[type=file]", str(first))
    page.wait_for_selector(".found figure:first-child b:text-is('1.000')", timeout=SECONDS)
    print(f"{where}: like {first.name}: {page.locator('.found figcaption').first.inner_text()!r}")
    look(page, found, where)


def search_texts(page: Page, images: Path, where: str) -> None:
    """The texts that are most like the first picture of the folder."""
    page.get_by_label("What to do").select_option("Search texts")
    page.set_input_files("#controls input[type=file]", str(sorted(images.rglob("*.png"))[0]))
    page.wait_for_selector("#result:not(.waiting) table tr td", timeout=SECONDS)
    print(f"{where}: the text most like it: {page.locator('#result tr').first.inner_text()!r}")


def draw_rows(page: Page) -> None:
    """Rows from codes."""
    page.get_by_role("button", name="Draw rows").click()
    page.wait_for_selector(".pictures.many canvas, #result .chords", timeout=SECONDS)


def find_anomalies(page: Page) -> None:
    """A file with 400 steps by an index, a jump among them."""
    page.get_by_label("What to do").select_option("Anomalies")
    lines = [f"{k},{math.sin(k / 4) + 2 * (300 <= k < 306):.4f}" for k in range(400)]
    content = "\n".join(["t,x", *lines]).encode()
    page.get_by_label("CSV file").set_input_files({"name": "w.csv", "mimeType": "text/csv", "buffer": content})
    page.wait_for_selector(".forecast .flag", timeout=SECONDS)


def fill_in(page: Page) -> None:
    """Some lines of the row that is there."""
    page.get_by_label("Lines to hide").fill("3-5")
    page.get_by_role("button", name="Fill in").click()
    page.get_by_text("numbers filled in").wait_for(timeout=SECONDS)


def compress(page: Page) -> None:
    """The same row, to a few bits and back."""
    page.get_by_label("Bits of each number of a code").fill("4")
    page.get_by_role("button", name="Compress").click()
    page.get_by_text("bits a value").wait_for(timeout=SECONDS)


# What is tried besides, by what a run can do.
ALSO = {"generate": draw_rows, "inpaint": fill_in, "compress": compress, "detect": find_anomalies}


def look(page: Page, found: Found, where: str) -> None:
    """Once nothing moves any more."""
    page.wait_for_timeout(300)
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found.problems.append(f"{where}: wider than the screen")


def models(browser: Browser, url: str) -> list[dict[str, Any]]:
    """What is served."""
    page = browser.new_page()
    page.goto(f"{url}/models")
    listed: list[dict[str, Any]] = json.loads(page.inner_text("body"))["models"]
    page.close()
    return listed


@contextmanager
def serving(runs: list[Path], images: Path | None = None, texts: Path | None = None) -> Iterator[str]:
    """The service in a process of its own, on a free port; yields where it is."""
    given = {"--images": images, "--texts": texts}
    beside = [word for name, path in given.items() if path is not None for word in (name, str(path))]
    command = [sys.executable, "-m", "recurra", "serve", *map(str, runs), *beside, "--port", "0"]
    python = os.environ.get("RECURRA_PYTHON")  # where the browser's driver is installed apart from recurra
    process = subprocess.Popen(
        [python or sys.executable, *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if "http://" not in line:
        sys.exit("the service did not start")
    try:
        yield line[line.index("http://") :].split()[0]
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    sys.exit(main())

"""A small report, and a reader of HTML that complains about what a browser would silently repair."""

from __future__ import annotations

from html.parser import HTMLParser

from recurra.base.contracts import Report, Score, Table

VOID = {"meta"}


class StrictReader(HTMLParser):
    """Collects elements, attributes and text; every element must be closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def text_of(self, tag):
        return [text for inside, text in self.texts if inside == tag]


def parsed(page: str) -> StrictReader:
    reader = StrictReader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def small_scores(accuracy: float, log_loss: float, split: str = "test") -> tuple[Score, ...]:
    return (
        Score("accuracy", accuracy, "0..1", "higher", split),
        Score("log_loss", log_loss, "nats", "lower", split),
        Score("f1[spam]", accuracy, "0..1", "higher", split),
        Score("support[spam]", 1200, "rows", "neither", split),
    )


def matrix(names, counts) -> Table:
    rows = tuple((name, *row) for name, row in zip(names, counts, strict=True))
    return Table("Confusion matrix", ("true \\ predicted", *names), rows)


def small_report(**changes) -> Report:
    parts = {
        "title": "Spam or not",
        "scores": small_scores(0.91, 0.25),
        "baselines": {"majority": small_scores(0.8, 0.5), "tfidf": small_scores(0.88, 0.2)},
        "tables": (matrix(("spam", "ham"), ((9, 1), (0, 10))), Table("Pairs", ("true", "share"), (("spam", 0.1),))),
        "facts": {"train rows": 4459, "seconds": 0.8, "device": "cpu"},
    }
    return Report(**(parts | changes))

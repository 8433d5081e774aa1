"""The page at `/docs`: the description of the service (OpenAPI) as HTML, each request ready to be sent.

Swagger UI and Redoc load scripts of a megabyte from another host; this works offline and under our own policy.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]
# What docs.js puts in the place of this: where the browser found the page.
ADDRESS = '<span class="address">http://127.0.0.1:8000</span>'
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API · recurra</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="page.css">
<script src="docs.js" defer></script>
</head>
<body>
<header><img src="icon.svg" alt="" width="26" height="26"><h1>recurra API</h1><a href=".">Try a run</a></header>
<main class="docs">
<p>Bodies are JSON. What is refused has the same form everywhere: <code>error</code> (the sentences),
<code>problems</code> (a list of them) and <code>request_id</code>. The same for programs:
<a href="openapi.json">openapi.json</a>.</p>
<p><label>Key, if the service has one <input id="key" type="password" autocomplete="off"></label></p>
"""
FOOT = "</main>\n</body>\n</html>\n"


def docs_page(description: Schema, example: Callable[[str], Mapping[str, Any] | None]) -> str:
    """The page of an OpenAPI description. example: a body for a path; None where no run that is served can answer."""
    operations = [
        (method.upper(), path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    kinds = description["components"]["schemas"]
    links = "".join(
        f'<li><a href="#{_anchor(method, path)}">{_title(method, path)}</a></li>' for method, path, _ in operations
    )
    sections = "".join(_section(method, path, one, kinds, example(path)) for method, path, one in operations)
    return f'{HEAD}<ul class="contents">{links}</ul>\n{sections}{FOOT}'


def _anchor(method: str, path: str) -> str:
    return method.lower() + "".join(c if c.isalnum() else "-" for c in path)


def _title(method: str, path: str) -> str:
    return f'<b class="verb {method.lower()}">{method}</b> <code>{escape(path)}</code>'


def _section(method: str, path: str, operation: Schema, kinds: Schema, example: Schema | None) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    rows = "".join(_row(*one) for one in _fields(_whole(body, kinds), kinds)) if body else ""
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(answer.get('description', ''))}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    return (
        f'<section id="{_anchor(method, path)}"><h2>{_title(method, path)}</h2>'
        f"<p>{escape(operation.get('description', ''))}</p>"
        + (f"<table><tr><th>Field</th><th>Value</th><th></th></tr>{rows}</table>" if rows else "")
        + _trial(method, path, bool(body), example)
        + f"<details><summary>Answers</summary><table>{answers}</table></details></section>\n"
    )


def _trial(method: str, path: str, has_body: bool, example: Schema | None) -> str:
    """The request as curl sends it, and a form that sends it from here."""
    if example is None:
        return '<p class="help">No run that is served here can answer this.</p>'
    sent = json.dumps(example, ensure_ascii=False) if has_body else ""
    words = [] if method in ("GET", "POST") and (has_body or method == "GET") else ["-X", method]
    if has_body:
        words += ["-H", "Content-Type: application/json", "-d", sent]
    curl = f"curl {ADDRESS}{escape(path)} {escape(shlex.join(words))}".rstrip()
    area = f'<textarea rows="3" spellcheck="false" aria-label="body">{escape(sent)}</textarea>' if has_body else ""
    inputs = "".join(
        f'<label>{name} <input name="{name}" required value="{escape(str(example.get(name, "")))}"></label>'
        for name in map(escape, _parameters(path))
    )
    return (
        f'<pre class="curl">{curl}</pre><form class="trial" data-method="{method}" data-path="{escape(path)}">'
        f'{inputs}{area}<button type="submit">Send</button><pre class="answer" aria-live="polite" hidden></pre></form>'
    )


def _parameters(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _whole(schema: Schema, kinds: Schema) -> Schema:
    """What a reference refers to; of several kinds the one that is not null."""
    if "$ref" in schema:
        found = kinds[schema["$ref"].rpartition("/")[2]]
        return {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
    if "anyOf" in schema:
        (one,) = [kind for kind in schema["anyOf"] if kind.get("type") != "null"][:1] or [{}]
        return {**_whole(one, kinds), **{key: value for key, value in schema.items() if key != "anyOf"}}
    return schema


def _fields(schema: Schema, kinds: Schema, before: str = "") -> Iterator[tuple[str, str, str]]:
    """Name, kind with its bounds, and meaning of each field, those of an inner object after it."""
    needed = schema.get("required", ())
    for name, given in schema.get("properties", {}).items():
        field = _whole(given, kinds)
        if "properties" in field:
            yield from _fields(field, kinds, f"{before}{name}.")
            continue
        default = "" if given.get("default") is None else f"default {json.dumps(given['default'])}"
        remark = "needed" if name in needed else default
        yield before + name, ", ".join(filter(None, (_kind(field, kinds), remark))), field.get("description", "")


def _kind(schema: Schema, kinds: Schema) -> str:
    """`list of string, at most 10,000 characters`, and so on: a type with its bounds."""
    schema = _whole(schema, kinds)
    kind = str(schema.get("type", "any value"))
    if kind == "array":
        return f"list of {_kind(schema['items'], kinds)}; {_between(schema, 'minItems', 'maxItems')} of them"
    if kind == "string" and "maxLength" in schema:
        return f"string, {_between(schema, 'minLength', 'maxLength')} characters"
    bounds = _between(schema, "minimum", "maximum", "exclusiveMinimum")
    return f"{kind} {bounds}".strip()


def _between(schema: Schema, low: str, high: str, above: str = "") -> str:
    first = f"over {schema[above]:g}" if above in schema else _number(schema.get(low))
    last = _number(schema.get(high))
    if not first:
        return f"at most {last}" if last else ""
    return f"{first} to {last}" if last else f"at least {first}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    # Beyond 2**53 a description has the nearest float64, and all its digits would say what is not so.
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 2**53 else f"{value:.3g}"


def _row(name: str, kind: str, meaning: str) -> str:
    return f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{escape(meaning)}</td></tr>"

"""The page at /docs: the same as /openapi.json, to be read. It loads nothing, from here or elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid #8886; border-radius: 4px; }
h2 { border-bottom: 1px solid #8886; margin-top: 2.5rem; } h3 { margin-top: 1.8rem; }
table { border-collapse: collapse; } td { padding: .1rem .8rem .1rem 0; vertical-align: top; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def docs_page(schema: Mapping[str, Any]) -> HTMLResponse:
    """The OpenAPI document as one page."""
    info = schema["info"]
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{_words(info.get('description', ''))}</p>"
        '<p>For machines: <a href="/openapi.json">/openapi.json</a></p>'
    )
    body = "".join(
        piece
        for path, methods in schema["paths"].items()
        for method, route in methods.items()
        for piece in _route(path, method, route, schema)
    )
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(f"{head}{body}</html>", headers=headers)


def _route(path: str, method: str, route: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
    yield "".join(f"<p>{_words(part)}</p>" for part in route.get("description", "").split("\n\n"))
    if parameters := route.get("parameters"):
        rows = "".join(
            f"<tr><td><code>{escape(p['name'])}</code><td>{escape(p['in'])}<td>{_words(p.get('description', ''))}"
            for p in parameters
        )
        yield f"<table>{rows}</table>"
    body = _resolved(_json_of(route.get("requestBody", {})), schema)
    if body:
        yield f"<h3>Body</h3>{_fields(body)}"
        for example in body.get("examples", ()):
            yield f"<pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"
    answer = _resolved(_json_of(route["responses"].get("200", {})), schema)
    if answer.get("properties"):
        yield f"<h3>Answer</h3>{_fields(answer)}"


def _fields(model: Mapping[str, Any]) -> str:
    needed = set(model.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{'needed' if name in needed else ''}"
        f"<td>{_words(field.get('description', ''))}"
        for name, field in model.get("properties", {}).items()
    )
    return f"<p>{_words(model.get('description', ''))}</p><table>{rows}</table>"


def _json_of(part: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = part.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _resolved(model: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = model.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = schema["components"]["schemas"].get(name, {}) if name else model
    return found


def _words(text: str) -> str:
    """Plain words; what stands between backticks is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))

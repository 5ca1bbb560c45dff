"""``/docs``: the OpenAPI description as one quiet page that needs no network and no script."""

from __future__ import annotations

import json
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 18%,transparent)}
body{font:16px/1.55 Inter,system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:2rem 1rem 6rem}
code,pre{font-family:ui-monospace,monospace;font-size:.86em}
h1{font-size:1.6rem;margin:0}h2{font-size:1rem;margin:0}p{margin:.3rem 0 .6rem}
section{border-top:1px solid var(--line);padding:1rem 0}
h2 b{display:inline-block;min-width:4.2rem;color:#c2410c}@media(prefers-color-scheme:dark){h2 b{color:#fdba74}}
table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}
td,th{text-align:left;vertical-align:top;padding:.25rem .9rem .25rem 0}
th{font-weight:500;opacity:.65}pre{overflow:auto;padding:.8rem;border:1px solid var(--line);border-radius:.5rem}
"""
_EXAMPLE = """curl -s http://127.0.0.1:7860/api/v1/jobs -H 'content-type: application/json' \\
     -d '{"kind": "generate", "prompt": "a red ball bouncing on grass", "seed": 7}'"""


def page(openapi: dict[str, Any]) -> str:
    """The whole reference as HTML."""
    schemas = openapi.get("components", {}).get("schemas", {})
    sections = [
        _section(method, path, operation, schemas)
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    ]
    info = openapi["info"]
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(info["title"])} API</title><style>{_STYLE}</style>
<h1>{escape(info["title"])} API <small>{escape(info["version"])}</small></h1>
<p>{escape(info.get("description", ""))} For machines: <a href="openapi.json">openapi.json</a>.</p>
<pre>{escape(_EXAMPLE)}</pre>{"".join(sections)}</html>"""


def _section(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    rows = [
        (parameter["name"], parameter["in"], parameter["schema"], parameter.get("description", ""))
        for parameter in operation.get("parameters", [])
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        rows += [
            (name, "body", schema, schema.get("description", ""))
            for name, schema in content["schema"].get("properties", {}).items()
        ]
    answer = _answer(operation, schemas)
    return (
        f'<section id="{escape(operation["operationId"])}"><h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2>'
        f"<p>{escape(operation.get('description', ''))}</p>{_table(rows)}{answer}</section>"
    )


def _table(rows: list[tuple[str, str, dict[str, Any], str]]) -> str:
    if not rows:
        return ""
    body = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{where}</td><td>{escape(_kind(schema))}</td><td>{escape(text)}</td></tr>"
        for name, where, schema, text in rows
    )
    return f"<table><tr><th>name</th><th>in</th><th>what</th><th></th></tr>{body}</table>"


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema or "const" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    bounds = [
        f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to"), ("maxLength", "up to")) if key in schema
    ]
    default = [f"= {json.dumps(schema['default'])}"] if schema.get("default") is not None else []
    return " ".join([str(schema.get("type", "any")), *bounds, *default])


def _answer(operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Which values come back, by the status of success."""
    for status, response in operation.get("responses", {}).items():
        schema = response.get("content", {}).get("application/json", {}).get("schema", {})
        if not status.startswith("2") or not schema:
            continue
        name = _kind(schema)
        fields = ", ".join(schemas.get(name.removeprefix("list of "), {}).get("properties", {}))
        return f"<p>{escape(status)}: {escape(name)}{' (' + escape(fields) + ')' if fields else ''}</p>"
    return ""

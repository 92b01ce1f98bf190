"""HTML pages in one file: escaped, light or dark as the reader's system is, without a network.

Every page extends `page.html`, which has the head: title, content security policy, colours and common styles.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60656c; --paper: #fcfcfd; --card: #f3f4f6; --line: #d9dce1;
  --accent: #0b63ce; --good: #18794e; --warn: #9a5b00; --bad: #c62a2f; }
@media (prefers-color-scheme: dark) { :root { --ink: #eceef0; --soft: #a0a6ad; --paper: #151718; --card: #202425;
  --line: #3a3f42; --accent: #6cb2ff; --good: #4cc38a; --warn: #f1a10d; --bad: #ff8589; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); } .good { color: var(--good); } .warn { color: var(--warn); }
.bad { color: var(--bad); } .scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: 20rem; } caption { text-align: left; color: var(--soft); }
th, td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; font-variant-numeric: tabular-nums; }
table { overflow-wrap: normal; } td.text { overflow-wrap: anywhere; min-width: 12rem; max-width: 32rem; }
th { font-weight: 600; white-space: nowrap; } td.number, th.number { text-align: right; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
.tile { background: var(--card); border-radius: .5rem; padding: .5rem .9rem; min-width: 8rem; }
.tile b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.bar { background: var(--card); height: .7rem; width: 9rem; border-radius: .2rem; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--accent); } .bar.before i { background: var(--soft); }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 3px; print-color-adjust: exact; }
code { font: .9em ui-monospace, monospace; }
@page { margin: 15mm; }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --card: #f3f4f6; --line: #bbb;
  --accent: #0b63ce; --good: #18794e; --warn: #9a5b00; --bad: #c62a2f; }
  body { padding: 0; max-width: none; font-size: 10pt; } .scroll { overflow: visible; }
  h2, caption { break-after: avoid; } tr, svg, img, figure, .tile { break-inside: avoid; }
  thead { display: table-header-group; }
  .bar, .bar i { print-color-adjust: exact; } }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{ policy_for(script, media) }}">
<title>{% block title %}{{ title }}{% endblock %}</title>
<style>{{ common_style }}{% block style %}{{ style }}{% endblock %}</style>
</head>
<body>
{% block body %}{% endblock %}
{% if script %}<script>{{ script }}</script>{% endif %}
</body>
</html>
"""


def page_environment(*loaders: "BaseLoader") -> "Environment":
    """Return a Jinja environment in which templates, also those of `loaders`, can extend `page.html`.

    Values are escaped, and an undefined one is an error.
    """
    from jinja2 import ChoiceLoader, DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=ChoiceLoader([DictLoader({"page.html": PAGE}), *loaders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "common_style": Markup(STYLE),
        "policy_for": _policy_for,
        "style": "",
        "script": "",
        "media": False,
    }
    return environment


def render_page(
    title: str, body: str, data: Mapping[str, object], *, style: str = "", script: str = "", media: bool = False
) -> str:
    """Return the page with `body`, a Jinja template of ours, filled from `data`; with `media` it may play videos."""
    from markupsafe import Markup

    page = page_environment().from_string(f'{{% extends "page.html" %}}{{% block body %}}{body}{{% endblock %}}')
    return page.render(**data, title=title, style=Markup(style), script=Markup(script), media=media)


def browser_link(uri: str) -> str:
    """Return where a browser finds the file; empty for one that only a store's client can read."""
    if uri.startswith(("http://", "https://")):
        return uri
    return f"file://{quote(uri)}" if uri.startswith("/") else ""


def _policy_for(script: str, media: bool = False) -> str:
    """Return a content security policy that loads nothing but, with `media`, videos, and runs no script but `script`,
    which it names by hash."""
    from markupsafe import Markup

    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    scripts = f"; script-src 'sha256-{allowed}'" if script else ""
    scripts += "; media-src file: http: https:" if media else ""
    return Markup(
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'{scripts}; base-uri 'none'; form-action 'none'"
    )

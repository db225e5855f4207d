"""What a command writes to stdout: one table, or with ``--json`` exactly one JSON document.

Progress and logs go to stderr, so that stdout can be piped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from edgekit.frames.terminal import console, spelled_out_json

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout instead of text.")


def print_json(document: Any) -> None:
    """Write ``document`` to stdout. ValueError for NaN and infinity, which JSON does not have."""
    is_unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    text = json.dumps(document, indent=2, ensure_ascii=not is_unicode, allow_nan=False)
    click.echo(spelled_out_json(text))


def answer(as_json: bool, document: Any, text: str | Callable[[], None]) -> None:
    """With ``--json`` the document; else the text, or what ``text`` prints."""
    if as_json:
        print_json(document)
    elif callable(text):
        text()
    else:
        click.echo(text)


def print_rich(*renderables: Any) -> None:
    """Write rich renderables (tables, text) to stdout; in a pipe lines are long instead of wrapped.

    Plain strings, in tables too, are no markup; what is to be coloured is a rich Text.
    """
    shown = console(width=None if sys.stdout.isatty() else 200)
    for renderable in renderables:
        shown.print(renderable)

"""What a command writes to stdout: one table, or with ``--json`` exactly one JSON document.

Progress and logs go to stderr, so that stdout can be piped.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from edgekit.frames.terminal import console, spelled_out_json

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout instead of text.")


def print_json(document: Any) -> None:
    """Write ``document`` to stdout. ValueError for NaN and infinity, which JSON does not have."""
    takes_all = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    text = json.dumps(document, indent=2, ensure_ascii=not takes_all, allow_nan=False)
    click.echo(spelled_out_json(text))


def print_rich(*renderables: Any) -> None:
    """Write rich renderables (tables, text) to stdout; in a pipe lines are long instead of wrapped.

    Plain strings, in tables too, are no markup; what is to be coloured is a rich Text.
    """
    shown = console(width=None if sys.stdout.isatty() else 200)
    for renderable in renderables:
        shown.print(renderable)

"""Text from anyone on a terminal: shown, never obeyed, never taken for markup."""

from __future__ import annotations

import io
import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.panel import Panel
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from edgekit.frames.terminal import console, spelled_out, spelled_out_json

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\r\x08[/x][bold]:smile:\u202egnp\x7f"
SHOWN = "\\x1b]0;title\\x07\\x1b[2J\\x9b31m\\x0d\\x08[/x][bold]:smile:\\u202egnp\\x7f"
COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_commands_are_spelled_out_and_lines_stay():
    assert spelled_out(HOSTILE) == SHOWN and spelled_out("a\n\tb é 森 \u200f") == "a\n\tb é 森 \u200f"


@given(st.text())
def test_no_command_is_left(text):
    assert not COMMANDS.search(spelled_out(text)) and spelled_out(spelled_out(text)) == spelled_out(text)


@given(st.dictionaries(st.text(), st.text()))
def test_json_says_what_it_said(document):
    text = spelled_out_json(json.dumps(document, ensure_ascii=False, indent=2))
    assert json.loads(text) == document and not COMMANDS.search(text)


@pytest.mark.parametrize("wrap", [str, Text, Panel, lambda text: _table(text)], ids=["str", "Text", "Panel", "Table"])
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_rich_shows_it_as_it_is(wrap, stream, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = stream()
    console(out, width=200).print(wrap(HOSTILE))
    found = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())  # colours and bold, which are rich's own
    assert not COMMANDS.search(found)
    if stream is io.StringIO:  # rich itself drops a few, such as the bell
        assert "\\x1b]0;title" in found and "[/x][bold]:smile:\\u202egnp" in found


def test_colours_are_kept_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    console(out, width=80).print(Text("holds", "green"))
    assert "\x1b[32mholds" in out.getvalue()


def test_a_progress_bar_shows_it_as_it_is(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with Progress(TextColumn("{task.description}", markup=False), console=console(out, width=200)) as bar:
        bar.add_task("\x1b]0;x\x07[/x]", total=1)
        time.sleep(0.2)
    assert "\x1b]0;x" not in out.getvalue() and "\\x1b]0;x" in out.getvalue()


def _table(text: str) -> Table:
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    return table

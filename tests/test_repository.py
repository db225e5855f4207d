"""What holds for the whole repository: sizes of files, words, and what every command offers."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from edgekit.cli.main import COMMANDS, main
from edgekit.tasks import KINDS

ROOT = Path(__file__).parents[1]
PYTHON_FILES = sorted(
    file for folder in ("edgekit", "tests", "tools", "benchmarks") for file in (ROOT / folder).rglob("*.py")
)
MOST_LINES = 500
MOST_LINES_OF_README = 200
# Assembled here, so that this file does not hold what it looks for.
UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")


def commands() -> list[tuple[str, ...]]:
    """Every command that does something, as words: ("distill",), ("recipe", "show"), …"""
    found = []
    for name, (module, _) in COMMANDS.items():
        command = importlib.import_module(module).command
        below = command.commands if isinstance(command, click.Group) else None
        found += [(name, word) for word in below] if below else [(name,)]
    return found


def test_there_is_something_to_look_at():
    assert len(PYTHON_FILES) > 100
    assert ("distill",) in commands() and ("recipe", "check") in commands()


def test_a_file_is_read_in_one_sitting():
    long = {
        str(file.relative_to(ROOT)): lines
        for file in PYTHON_FILES
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def test_the_readme_is_read_in_one_sitting():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_LINES_OF_README


def test_every_room_of_the_import_contract_is_in_the_architectures_table():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = [c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    rooms = [room.strip() for layer in contract["layers"] for room in layer.split("|")]
    table = (
        (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Rooms\n")[2].partition("\n## ")[0]
    )
    named = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", table, re.MULTILINE)
    assert sorted(named) == sorted(rooms)


def test_nothing_is_left_for_later():
    places = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in PYTHON_FILES
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert places == []


def test_the_encoding_of_files_is_never_the_machines():
    """Where that is Latin-1 or ASCII, a table with ≥ in it could not be written."""
    options = ["--isolated", "--preview", "--select", "PLW1514", "edgekit", "benchmarks", "tools", "examples"]
    command = [sys.executable, "-m", "ruff", "check", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_says_what_it_is_for():
    folders = {file.parent for file in PYTHON_FILES if file.is_relative_to(ROOT / "edgekit")}
    silent = [
        str(folder.relative_to(ROOT))
        for folder in folders
        if not (folder / "__init__.py").exists() or not (folder / "__init__.py").read_text().startswith('"""')
    ]
    assert silent == []


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_an_example_and_speaks_json(words, capsys):
    assert main([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"Example: edgekit {' '.join(words)}\b", shown)
    assert "--json" in shown


def test_every_kind_has_its_torch_half():
    from edgekit.heads import HEADS

    assert set(HEADS) == set(KINDS)

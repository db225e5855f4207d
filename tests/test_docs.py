"""What the pages show: every command's options exist, every recipe is one, every Python example is Python; and how long
a page is.

The examples of python.md, remote.md, students.md, data.md and teachers.md also run, in tests of their own.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from edgekit.cli.default_command import DefaultGroup
from edgekit.cli.main import cli
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ONE_SCREEN = 60  # lines, of the pages that introduce one thing
SHORT = ("in_flight", "int8", "search", "see", "sensors")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands(page: Path) -> list[list[str]]:
    """The words of each `edgekit …` that a page writes in full, not of what stands for several commands (a|b, …)."""
    text = page.read_text(encoding="utf-8")
    fenced = [line for _, block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`(edgekit [^`]*)`", BLOCK.sub("", text).replace("\n", " "))
    found = []
    for line in (*fenced, *inline):
        line = re.sub(r"^\s*\$? *", "", line).partition(" #")[0]
        if line.startswith("edgekit ") and not re.search(r"[…|\[\]]|\.\.\.", line):
            found.append(shlex.split(line)[1:])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_have_the_options_that_the_pages_name(page):
    for words in commands(page):
        command, context = cli, click.Context(cli)
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            if isinstance(command, DefaultGroup) and words[0] not in command.commands:
                words = [command.default, *words]
            name, found, words = command.resolve_command(context, words)  # click's UsageError where there is none
            command, context = found, click.Context(found, parent=context, info_name=name)
        command.make_parser(context).parse_args([word for word in words if word not in ("-h", "--help")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_recipes_on_the_pages_are_recipes(page, tmp_path):
    for i, text in enumerate(blocks(page, "yaml")):
        if text.startswith("name:") and "\ntasks:" in text:
            (tmp_path / f"{i}.yaml").write_text(text, encoding="utf-8")
            load_recipe(Recipe, tmp_path / f"{i}.yaml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_on_the_pages_is_python(page):
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")


@pytest.mark.parametrize("name", SHORT)
def test_a_page_about_one_thing_is_one_screen(name):
    assert len((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8").splitlines()) <= ONE_SCREEN


def test_the_pages_hold_what_these_tests_look_for():
    assert sum(len(commands(page)) for page in PAGES) > 60
    assert sum(text.startswith("name:") for page in PAGES for text in blocks(page, "yaml")) >= 3
    assert sum(len(blocks(page, "python")) for page in PAGES) >= 8

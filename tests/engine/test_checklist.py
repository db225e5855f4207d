"""docs/on_device.md: the commands in it are commands, with options that exist."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

from edgekit.cli.main import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "on_device.md"


def commands() -> list[list[str]]:
    found = []
    for block in re.findall(r"```\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for line in block.splitlines():
            match = re.search(r"\bedgekit ([a-z]+ [^;>#]*)", line)
            if match and not line.startswith("from"):
                found.append(shlex.split(match.group(1)))
    return found


def test_there_are_some():
    assert {words[0] for words in commands()} == {"doctor", "build", "verify", "bench"}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_the_page_parses(words):
    name, *arguments = words
    command = importlib.import_module(COMMANDS[name][0]).command
    with click.Context(command, info_name=name, resilient_parsing=False) as context:
        while isinstance(command, click.Group):  # a group with a default command
            command = command.get_command(context, "measure")
        command.make_parser(context).parse_args(arguments)

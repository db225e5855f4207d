"""Every error that a user can cause says where it is and what to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

EXEMPT = {
    ("edgekit/cli/main.py", "'interrupted'"): "the user did it",
    ("edgekit/cli/main.py", "f'internal fault"): "the traceback printed before says where",
    ("edgekit/pipeline/parallel.py", "**json.loads(stdout)"): "it is another process's error, with all that it said",
}
"""File and how the call's arguments begin → why it need not."""


def trees() -> dict[str, ast.Module]:
    files = sorted((ROOT / "edgekit").rglob("*.py"))
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def error_classes(parsed: dict[str, ast.Module]) -> set[str]:
    """EdgekitError and the classes derived from it, by name."""
    found, before = {"EdgekitError"}, 0
    while len(found) > before:
        before = len(found)
        for tree in parsed.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef) and found & {ast.unparse(base) for base in node.bases}:
                    found.add(node.name)
    return found


def unsaid(parsed: dict[str, ast.Module]) -> Iterator[tuple[str, int, str]]:
    """(file, line, arguments) of every error that is made without a place or without advice."""
    classes = error_classes(parsed)
    for file, tree in parsed.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in classes:
                given = {
                    keyword.arg
                    for keyword in node.keywords
                    if not (isinstance(keyword.value, ast.Constant) and not keyword.value.value)
                }
                if not {"where", "fix"} <= given:
                    yield file, node.lineno, ast.unparse(node).partition("(")[2]


def test_errors_say_where_and_what_to_do():
    parsed = trees()
    assert len(error_classes(parsed)) > 2
    exempt = lambda file, said: any(file == f and said.startswith(begins) for f, begins in EXEMPT)  # noqa: E731
    found = list(unsaid(parsed))
    assert [place for place in found if not exempt(place[0], place[2])] == []
    assert len(found) == len(EXEMPT), "an exemption that nothing needs"


def test_what_lacks_either_is_found():
    text = """
class Worse(EdgekitError): ...
EdgekitError("a", where="b", fix="c")
EdgekitError("a", where="b")
Worse("a", fix="c", where=None)
Worse("a", fix=advice, where=place)
"""
    assert [line for _, line, _ in unsaid({"x.py": ast.parse(text)})] == [4, 5]

"""What changes a recipe before it is validated: its `extends` chain and `--set` overrides."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from edgekit.errors import EdgekitError
from edgekit.frames.files import expand_home
from edgekit.recipe.document import Document, KeyPath, Origin, dotted, parse, read_document
from edgekit.recipe.json_schema import SchemaNode, schema_of
from edgekit.recipe.problems import Problem, quoted

EXTENDS = "extends"

# What YAML would not read as one value, although it starts neither a list nor a mapping nor a quoted text.
_VERBATIM = re.compile(r"[-?](\s|$)|[#!&*|>%@`]|[^\[{\"'].*(\s#|:(\s|$)|\n)", re.DOTALL)


def read_chain(path: Path, model: type[BaseModel], below: Sequence[Path] = ()) -> Document:
    """Read ``path`` on top of the file its key `extends` names (relative to ``path``), and so on down the chain.

    Mappings merge key by key, everything else (lists too) is replaced. Where a mapping selects another member of a
    discriminated union than the file below it, it replaces that file's mapping: its keys belong to another kind.

    Raises EdgekitError for a file that cannot be read and for a cycle, naming the chain.
    """
    chain = [*below, path]
    document = read_document(path)
    if EXTENDS not in document.value:
        return document
    where = document.locate((EXTENDS,))
    wanted = document.value.pop(EXTENDS)
    if not isinstance(wanted, str) or not wanted:
        what = f"'extends' is {quoted(wanted)}, but must be the path of one recipe"
        raise EdgekitError(what, where=where, fix="write `extends: other.yaml`")
    # str, so that the path reads as the user wrote it: recipes/../base.yaml becomes base.yaml
    base = Path(os.path.normpath(path.parent / expand_home(wanted)))
    if any(os.path.realpath(base) == os.path.realpath(file) for file in chain):
        loop = " -> ".join(str(file) for file in [*chain, base])
        raise EdgekitError(f"'extends' goes in a circle: {loop}", where=where, fix="remove one 'extends' of the circle")
    if not base.is_file():
        raise EdgekitError(
            f"'extends' names a recipe that does not exist: {base}",
            where=where,
            fix="the path is relative to the recipe that extends",
        )
    return _merge(read_chain(base, model, chain), document, schema_of(model))


def _merge(base: Document, over: Document, root: SchemaNode) -> Document:
    def merge(below: Any, above: Any, node: SchemaNode | None, path: KeyPath) -> Any:
        tag = node.discriminator if node else None
        mappings = isinstance(below, dict) and isinstance(above, dict)
        if not mappings or (tag and tag in below and tag in above and below[tag] != above[tag]):
            base.forget_below(path)
            return above
        merged = dict(below)
        chosen = node.choose({**below, **above}) if node else None
        for key, value in above.items():
            child = chosen and chosen.child(key)
            merged[key] = merge(below[key], value, child, (*path, key)) if key in below else value
        return merged

    value = merge(base.value, over.value, root, ())
    return Document(value, over.source, base.origins | over.origins, base.problems + over.problems)


def apply_overrides(document: Document, overrides: Sequence[str], model: type[BaseModel]) -> None:
    """Write each ``key.path=value`` into ``document``; list entries are addressed by number.

    The value is a list, a mapping or a quoted text as in YAML, or else one number, true, false, null or text to its
    end: ``/x/run #3`` holds no comment, and ``a: b`` no mapping.

    A path that cannot be followed becomes one of the document's problems. Keys nobody wrote are filled in from the
    model's defaults on the way, so that one key of a default can be changed.
    """
    root = schema_of(model)  # a quarter of a second: once for all of them
    for text in overrides:
        origin = Origin(f"--set {text}")
        name, equals, written = text.partition("=")
        parts = name.strip().split(".")
        if not equals or not all(parts):
            fix = "write --set key=value, e.g. --set student.width=32"
            document.problems.append(Problem(f"an override is key=value, but here it is '{text}'", str(origin), fix))
            continue
        text = written.strip()
        parsed = parse(json.dumps(text) if _VERBATIM.match(text) else text, str(origin), lines=False)
        document.problems += parsed.problems
        problem = _write(document, parts, parsed.value, origin, root)
        if problem:
            document.problems.append(problem)


def _write(document: Document, parts: list[str], value: Any, origin: Origin, root: SchemaNode) -> Problem | None:
    holder, path, node = document.value, (), root
    for depth, part in enumerate(parts):
        key = _index(holder, part) if isinstance(holder, list) else part
        if key is None:
            what = f"{dotted(path)} is a list of {len(holder)} entries and has no entry '{part}'"
            fix = f"use a number from 0 to {len(holder) - 1}" if holder else f"--set {dotted(path)}='[...]'"
            return Problem(what, f"{origin}: {dotted(path)}", fix)
        chosen = node.choose(holder) if node else None
        path = (*path, key)
        if depth == len(parts) - 1:
            break
        if isinstance(holder, dict) and holder.get(key) is None:
            holder[key] = copy.deepcopy(chosen.default(key) if chosen else None) or {}
            document.origins[path] = origin
        holder, node = holder[key], chosen and chosen.child(key)
        if not isinstance(holder, (dict, list)):
            what = f"{dotted(path)} is {quoted(holder)}, so it has no key '{parts[depth + 1]}'"
            return Problem(what, f"{origin}: {dotted(path)}", f"set {dotted(path)} itself")
    holder[key] = value
    document.forget_below(path)
    document.origins[path] = origin
    return None


def _index(entries: list, part: str) -> int | None:
    return int(part) if part.isascii() and part.isdigit() and int(part) < len(entries) else None

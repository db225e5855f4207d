"""What changes a recipe before it is validated: its `extends` chain and `--set` overrides."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter

from edgekit.errors import EdgekitError
from edgekit.recipe.document import Document, KeyPath, Origin, dotted, parse, read_document
from edgekit.recipe.problems import Problem, quoted
from edgekit.recipe.shape import Shape, fields, unwrap

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
        raise EdgekitError(f"'extends' is {quoted(wanted)}, but must be the path of one recipe", where=where)
    # str, so that the path reads as the user wrote it: recipes/../base.yaml becomes base.yaml
    base = Path(os.path.normpath(path.parent / Path(wanted).expanduser()))
    if any(os.path.realpath(base) == os.path.realpath(file) for file in chain):
        loop = " -> ".join(str(file) for file in [*chain, base])
        raise EdgekitError(f"'extends' goes in a circle: {loop}", where=where, fix="remove one 'extends' of the circle")
    if not base.is_file():
        raise EdgekitError(
            f"'extends' names a recipe that does not exist: {base}",
            where=where,
            fix="the path is relative to the recipe that extends",
        )
    return _merge(read_chain(base, model, chain), document, unwrap(model))


def _merge(base: Document, over: Document, root: Shape) -> Document:
    origins = dict(base.origins)

    def replace(path: KeyPath, value: Any) -> Any:
        for old in [key for key in origins if key[: len(path)] == path]:
            del origins[old]
        origins.update({key: origin for key, origin in over.origins.items() if key[: len(path)] == path})
        return value

    def merge(path: KeyPath, below: Any, above: Any, shape: Shape | None) -> Any:
        if not isinstance(below, dict) or not isinstance(above, dict):
            return replace(path, above)
        tag = shape.discriminator if shape else None
        if tag and tag in below and tag in above and below[tag] != above[tag]:
            return replace(path, above)
        origins[path] = over.origins[path]
        merged = dict(below)
        chosen = shape.choose({**below, **above}) if shape else None
        for key, value in above.items():
            inner = chosen.child(key) if chosen else None
            here = (*path, key)
            merged[key] = merge(here, below[key], value, inner) if key in below else replace(here, value)
        return merged

    value = merge((), base.value, over.value, root)
    return Document(value, origins, base.problems + over.problems)


def apply_overrides(document: Document, overrides: Sequence[str], model: type[BaseModel]) -> None:
    """Write each ``key.path=value`` into ``document``; list entries are addressed by number.

    The value is a list, a mapping or a quoted text as in YAML, or else one number, true, false, null or text to its
    end: ``/x/run #3`` holds no comment, and ``a: b`` no mapping.

    A path that cannot be followed becomes one of the document's problems. Keys nobody wrote are filled in from the
    model's defaults on the way, so that one key of a default can be changed.
    """
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
        problem = _write(document, parts, parsed, origin, unwrap(model))
        if problem:
            document.problems.append(problem)


def _write(document: Document, parts: list[str], parsed: Document, origin: Origin, root: Shape) -> Problem | None:
    holder, path, shape = document.value, (), root
    for depth, part in enumerate(parts):
        key = _index(holder, part) if isinstance(holder, list) else part
        if key is None:
            what = f"{dotted(path)} is a list of {len(holder)} entries and has no entry '{part}'"
            fix = f"use a number from 0 to {len(holder) - 1}" if holder else f"--set {dotted(path)}='[...]'"
            return Problem(what, f"{origin}: {dotted(path)}", fix)
        chosen = shape.choose(holder) if shape else None
        if depth == len(parts) - 1:
            break
        if isinstance(holder, dict) and holder.get(key) is None:
            holder[key] = _default(chosen, key)
            document.origins[(*path, key)] = origin
        path = (*path, key)
        holder, shape = holder[key], chosen.child(key) if chosen else None
        if not isinstance(holder, (dict, list)):
            what = f"{dotted(path)} is {quoted(holder)}, so it has no key '{parts[depth + 1]}'"
            return Problem(what, f"{origin}: {dotted(path)}", f"set {dotted(path)} itself")
    here = (*path, key)
    for old in [written for written in document.origins if written[: len(here)] == here]:
        del document.origins[old]
    holder[key] = parsed.value
    document.origins.update({here + inner: origin for inner in parsed.origins})
    return None


def _index(entries: list, part: str) -> int | None:
    return int(part) if part.isascii() and part.isdigit() and int(part) < len(entries) else None


def _default(shape: Shape | None, key: str) -> Any:
    """What the model puts where a recipe writes nothing; an empty mapping where it has no default."""
    info = fields(shape.type).get(key) if shape and shape.is_model else None
    default = None if info is None or info.is_required() else info.get_default(call_default_factory=True)
    if default is None:
        return {}
    return TypeAdapter(Any).dump_python(default, mode="json", by_alias=True, exclude_unset=True)

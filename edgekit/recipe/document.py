"""Reading YAML into plain values, remembering which file and line wrote each key."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from edgekit.errors import EdgekitError
from edgekit.recipe.problems import Problem

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """Who wrote a key: a file with its line, or ``--set student.width=32``."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}, line {self.line}"


@dataclass
class Document:
    """A tree of mappings (text keys), lists and scalars; the origin of each key; what was wrong with the text."""

    value: Any
    origins: dict[KeyPath, Origin]
    problems: list[Problem] = field(default_factory=list)

    def origin(self, path: KeyPath) -> Origin:
        """The origin of ``path`` or, if no one wrote it, of its nearest written ancestor."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins[path]

    def locate(self, path: KeyPath) -> str:
        origin = self.origin(path)
        return f"{origin}: {dotted(path)}" if path else str(origin)


class Loader(yaml.SafeLoader):
    """Safe YAML 1.1 with two changes: 1e-3 is a number (YAML 1.1 asks for 1.0e-3), and a date stays text."""


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads back as the same value; a list of scalars stands on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_SCIENTIFIC = re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
for _side in (Loader, Dumper):
    _side.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:timestamp"]
        for first, rows in _side.yaml_implicit_resolvers.items()
    }
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _SCIENTIFIC, list("-+0123456789"))


def _represent_list(dumper: Dumper, items: list) -> yaml.Node:
    flat = not any(isinstance(item, (list, dict)) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flat)


def _represent_str(dumper: Dumper, text: str) -> yaml.Node:
    # YAML 1.1 takes these for line breaks, and folds them unless they are escaped
    breaks = any(char in text for char in "\x85\u2028\u2029")
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if breaks else None)


Dumper.add_representer(list, _represent_list)
Dumper.add_representer(str, _represent_str)


def to_yaml(value: Any) -> str:
    """``value`` as YAML text, keys in the order given."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)


def read_document(path: Path) -> Document:
    """Read the YAML file ``path``.

    Raises EdgekitError if it is missing, a directory, not UTF-8 text, not YAML (with line and column) or empty, or
    if its top level is not a mapping. A key written twice becomes one of the document's problems.
    """
    if path.is_dir():
        raise EdgekitError("the recipe is a directory, not a YAML file", where=str(path), fix=_nearby(path / "x.yaml"))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise EdgekitError("there is no such recipe file", where=str(path), fix=_nearby(path)) from None
    except UnicodeDecodeError as error:
        raise EdgekitError(
            f"the recipe is not UTF-8 text (byte 0x{error.object[error.start]:02x} at offset {error.start})",
            where=str(path),
            fix="give a YAML recipe",
        ) from None
    except OSError as error:
        raise EdgekitError(f"the recipe cannot be read: {error.strerror}", where=str(path)) from None
    document = parse(text, str(path))
    if document.value is None:
        raise EdgekitError("the recipe is empty", where=str(path), fix="write its keys, or `extends: other.yaml`")
    if not isinstance(document.value, dict):
        kind = "a list" if isinstance(document.value, list) else "one single value"
        raise EdgekitError(
            f"the top level of a recipe is a mapping (key: value), but here it is {kind}", where=str(path)
        )
    return document


def parse(text: str, source: str, *, lines: bool = True) -> Document:
    """Parse one YAML document. Raises EdgekitError naming ``source``, line and column."""
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        builder = _Builder(loader, source, lines)
        value = None if node is None else builder.build(node, (), ())
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"not YAML text: the control character #x{error.character:02x}"
        raise EdgekitError(what, where=f"{source}, line {line}" if lines else source) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if lines and mark else source
        what = "; ".join(part for part in (error.context, error.problem) if part)
        raise EdgekitError(f"not valid YAML: {what}", where=spot, fix=error.note) from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise EdgekitError(f"not valid YAML: {reason}", where=source) from None
    builder.origins.setdefault((), Origin(source))
    return Document(value, builder.origins, builder.problems)


class _Builder:
    """Turns YAML nodes into values and notes the line of each key and list entry."""

    def __init__(self, loader: Loader, source: str, lines: bool):
        self.loader, self.source, self.lines = loader, source, lines
        self.origins: dict[KeyPath, Origin] = {}
        self.problems: list[Problem] = []
        self.flattened: set[int] = set()

    def build(self, node: yaml.Node, path: KeyPath, inside: tuple[int, ...]) -> Any:
        if id(node) in inside:
            raise _refuse(node, "an anchor contains itself")
        inside += (id(node),)
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._mapping(node, path, inside)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self._entry(child, (*path, i), child, inside) for i, child in enumerate(node.value)]
        value = self.loader.construct_object(node, deep=True)
        if not isinstance(value, (str, int, float, bool, type(None))):
            raise _refuse(node, f"the tag {node.tag} is not used in recipes")
        return value

    def _entry(self, child: yaml.Node, path: KeyPath, marked: yaml.Node, inside: tuple[int, ...]) -> Any:
        self.origins[path] = self._origin(marked)
        return self.build(child, path, inside)

    def _origin(self, node: yaml.Node) -> Origin:
        return Origin(self.source, node.start_mark.line + 1 if self.lines else None)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, inside: tuple[int, ...]) -> dict[str, Any]:
        if id(node) not in self.flattened:  # an alias leads here again, and then merged keys would look repeated
            self.flattened.add(id(node))
            self._refuse_repeated(node, path)
            self.loader.flatten_mapping(node)  # `<<: *anchor`: the merged pairs come first, so that own keys win
        value = {}
        for key_node, child in node.value:
            key = self._key(key_node)
            value[key] = self._entry(child, (*path, key), key_node, inside)
        return value

    def _refuse_repeated(self, node: yaml.MappingNode, path: KeyPath) -> None:
        first: dict[str, Origin] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key, origin = self._key(key_node), self._origin(key_node)
            if key in first:
                where = f"{origin}: {dotted((*path, key))}"
                what = f"the key '{key}' is written twice, first at {first[key]}"
                self.problems.append(Problem(what, where, "keep one of the two"))
            first.setdefault(key, origin)

    def _key(self, node: yaml.Node) -> str:
        key = self.loader.construct_object(node, deep=True) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            written = f"'{node.value}'" if isinstance(node, yaml.ScalarNode) else "a list or mapping"
            raise _refuse(node, f"{written} as a key means {key!r} in YAML, not a name; write it in quotes")
        return str(key)


def _refuse(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _nearby(path: Path) -> str:
    folder = path.parent
    names = sorted(p.name for pattern in ("*.yaml", "*.yml") for p in folder.glob(pattern)) if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    if near:
        return f"did you mean {folder / near[0]}?"
    return f"recipes in {folder}: {', '.join(names)}" if names else "check the path: give a recipe's YAML file"

"""Reading YAML 1.2 into plain values that remember which file and line wrote each key."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.representer import SafeRepresenter

from edgekit import limits
from edgekit.errors import EdgekitError, did_you_mean
from edgekit.frames.outside import read_text, shown_path
from edgekit.frames.plain_yaml import check_brackets
from edgekit.recipe.problems import Problem

KeyPath = tuple[str | int, ...]

_MEND = "correct the text there; `edgekit recipe show uav` prints a whole recipe"

_MOST_BRACKETS = 500
_PREFIX = "tag:yaml.org,2002:"
_NUMBERS = ("null", "bool", "int", "float")
_TEXTS = ("str", "timestamp", "value", "merge")  # a date, `=` and `<<` as values are text


@dataclass(frozen=True)
class Origin:
    """Who wrote a key: a file with its line, or ``--set student.width=32``."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}, line {self.line}"


@dataclass
class Document:
    """A tree of mappings with text keys, lists and scalars; the origin of each key and entry; problems of the text."""

    value: Any
    source: str
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def origin(self, path: KeyPath) -> Origin:
        """The origin of ``path`` or, if no one wrote it, of its nearest written ancestor."""
        written = (path[:length] for length in range(len(path), 0, -1) if path[:length] in self.origins)
        return self.origins.get(next(written, ()), Origin(self.source))

    def locate(self, path: KeyPath) -> str:
        origin = self.origin(path)
        return f"{origin}: {dotted(path)}" if path else str(origin)

    def forget_below(self, path: KeyPath) -> None:
        """Drop the origins of all keys below ``path``, whose value is replaced."""
        for old in [old for old in self.origins if len(old) > len(path) and old[: len(path)] == path]:
            del self.origins[old]


class _Representer(SafeRepresenter):
    """Every value written out, and a list of scalars on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, items: list) -> Node:
        flat = not any(isinstance(item, (list, dict)) for item in items)
        return self.represent_sequence(f"{_PREFIX}seq", items, flow_style=flat)

    def represent_str(self, text: str) -> Node:
        # The emitter folds these as line breaks unless they are escaped, and the reader takes [?a] for a mapping.
        escape = text.startswith("?") or any(char in text for char in "\x85\u2028\u2029")
        return self.represent_scalar(f"{_PREFIX}str", text, style='"' if escape else None)


_Representer.add_representer(list, _Representer.represent_list)
_Representer.add_representer(str, _Representer.represent_str)


def to_yaml(value: Any) -> str:
    """``value`` as YAML text, keys in the order given."""
    yaml, text = YAML(typ="safe", pure=True), StringIO()
    yaml.Representer = _Representer
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output, yaml.width = False, False, 120
    yaml.dump(value, text)
    return text.getvalue()


def dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)


def read_document(path: Path) -> Document:
    """Read the YAML file ``path``.

    Raises EdgekitError if it is missing, a directory, far too large for a recipe, not UTF-8 text, not YAML (with line
    and column) or empty, or if its top level is not a mapping. A key written twice becomes one of the document's
    problems.
    """
    if path.is_dir():
        raise EdgekitError("the recipe is a directory, not a YAML file", where=str(path), fix=_nearby(path / "x.yaml"))
    try:
        text = read_text(path, what="the recipe", most=limits.RECIPE_BYTES, fix="give a YAML recipe")
    except FileNotFoundError:
        raise EdgekitError("there is no such recipe file", where=shown_path(path), fix=_nearby(path)) from None
    document = parse(text, str(path))
    if document.value is None:
        raise EdgekitError("the recipe is empty", where=str(path), fix="write its keys, or `extends: other.yaml`")
    if not isinstance(document.value, dict):
        kind = "a list" if isinstance(document.value, list) else "one single value"
        raise EdgekitError(
            f"the top level of a recipe is a mapping (key: value), but here it is {kind}", where=str(path), fix=_MEND
        )
    return document


def parse(text: str, source: str, *, lines: bool = True) -> Document:
    """Parse one YAML document. Raises EdgekitError naming ``source``, line and column."""
    document = Document(None, source)
    builder = _Builder(document, lines)
    try:
        check_brackets(text, _MOST_BRACKETS)
        node = builder.yaml.compose(text)
        document.value = None if node is None else builder.build(node, ())
        return document
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"not YAML text: the control character #x{error.character:02x}"
        raise EdgekitError(what, where=f"{source}, line {line}" if lines else source, fix=_MEND) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if lines and mark else source
        if builder.path:
            spot = f"{spot}: {dotted(builder.path)[:200]}"
        what = "; ".join(part for part in (error.context, error.problem) if part)
        raise EdgekitError(f"not valid YAML: {what[:500]}", where=spot, fix=_MEND) from None
    except (YAMLError, ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise EdgekitError(f"not valid YAML: {reason[:500]}", where=source, fix=_MEND) from None


class _Builder:
    """Turns YAML nodes into values and adds the line of each key and list entry to the document's origins."""

    def __init__(self, document: Document, lines: bool):
        self.yaml = YAML(typ="safe", pure=True)
        self.document, self.lines = document, lines
        self.left = limits.RECIPE_VALUES
        self.path: KeyPath = ()

    def build(self, node: Node, path: KeyPath) -> Any:
        self.path = path
        self.left -= 1
        if self.left < 0:
            raise _refuse(node, f"with its aliases followed, the recipe has more than {limits.RECIPE_VALUES:,} values")
        if len(path) > limits.RECIPE_LEVELS:
            raise _refuse(node, f"more than {limits.RECIPE_LEVELS} levels of nesting, or an anchor that holds itself")
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if isinstance(node, MappingNode) and node.tag == f"{_PREFIX}map":
            return self._mapping(node, path)
        if node.tag != f"{_PREFIX}seq":
            raise _refuse(node, f"the tag {node.tag} is not used in recipes")
        for i, child in enumerate(node.value):
            self.document.origins[(*path, i)] = self._origin(child)
        return [self.build(child, (*path, i)) for i, child in enumerate(node.value)]

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping, written = {}, {}
        for key_node, child in node.value:
            if key_node.tag == f"{_PREFIX}merge":  # `<<: *anchor`: merged pairs come first, so that own keys win
                for base in reversed(child.value if isinstance(child, SequenceNode) else [child]):
                    merged = self.build(base, path)
                    if not isinstance(merged, dict):
                        raise _refuse(base, "only mappings can be merged with <<")
                    mapping.update(merged)
        for key_node, child in node.value:
            if key_node.tag == f"{_PREFIX}merge":
                continue
            self.path = path
            key, origin = self._key(key_node), self._origin(key_node)
            if key in written:
                where = f"{origin}: {dotted((*path, key))}"
                what = f"the key '{key}' is written twice, first at {written[key]}"
                self.document.problems.append(Problem(what, where, "keep one of the two"))
            if key in mapping:
                self.document.forget_below((*path, key))
            self.document.origins[(*path, key)] = origin
            mapping[key] = self.build(child, (*path, key))
            written.setdefault(key, origin)
        return mapping

    def _scalar(self, node: ScalarNode) -> Any:
        meant = self.yaml.resolver.resolve(ScalarNode, node.value, (True, False)) if not node.style else f"{_PREFIX}str"
        kind = str(node.tag).removeprefix(_PREFIX)
        if node.tag != meant or kind not in _NUMBERS + _TEXTS:
            raise _refuse(node, f"the tag {node.tag} is not used in recipes")
        try:
            value = self.yaml.constructor.construct_object(node) if kind in _NUMBERS else node.value
            str(value).encode()  # neither half a character nor a number of thousands of digits
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{node.value[:40]} is no finite number")
        except ValueError as error:
            raise _refuse(node, str(error)) from None
        return value

    def _key(self, node: Node) -> str:
        key = self._scalar(node) if isinstance(node, ScalarNode) else None
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            written = f"'{node.value}'" if isinstance(node, ScalarNode) else "a list or mapping"
            raise _refuse(node, f"{written} as a key means {key!r} in YAML, not a name; write it in quotes")
        return node.value

    def _origin(self, node: Node) -> Origin:
        return Origin(self.document.source, node.start_mark.line + 1 if self.lines else None)


def _refuse(node: Node, problem: str) -> MarkedYAMLError:
    return MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _nearby(path: Path) -> str:
    folder = path.parent
    names = sorted(p.name for pattern in ("*.yaml", "*.yml") for p in folder.glob(pattern)) if folder.is_dir() else []
    paths = [folder / name for name in names]
    if near := did_you_mean(path, paths):
        return near
    return f"recipes in {folder}: {', '.join(names)}" if names else "check the path: give a recipe's YAML file"

"""What a model's JSON schema allows at a key path, for messages in plain words and for overrides of defaults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from edgekit.recipe.document import KeyPath

_WORDS = {"boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "text"}
_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "pattern": "matching {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "minProperties": "at least {} entries",
    "maxProperties": "at most {} entries",
}


def shape_of(model: type[BaseModel]) -> Shape:
    """The shape of a whole document that ``model`` validates."""
    schema = model.model_json_schema()
    return Shape(schema, schema.get("$defs", {}))


@dataclass(frozen=True)
class Shape:
    """A place of a JSON schema (2020-12), as pydantic writes it."""

    node: dict[str, Any]
    definitions: dict[str, Any] = field(repr=False)

    def __post_init__(self) -> None:
        while "$ref" in self.node:
            beside = {key: value for key, value in self.node.items() if key != "$ref"}
            named = self.definitions[self.node["$ref"].rpartition("/")[2]]
            object.__setattr__(self, "node", {**named, **beside})

    def _at(self, node: Any) -> Shape:
        return Shape(node if isinstance(node, dict) else {}, self.definitions)

    @property
    def keys(self) -> list[str]:
        """The keys a recipe may write here, in the schema's order; none where any may be written."""
        return list(self.node.get("properties", ()))

    @property
    def key_names(self) -> Shape:
        """What the keys of a mapping may be."""
        return self._at(self.node.get("propertyNames", {"type": "string"}))

    def wants(self, *types: str) -> bool:
        """Whether a value of one of these JSON types is allowed."""
        return any(option.node.get("type") in types for option in self.options)

    @property
    def _members(self) -> list[Shape]:
        return [self._at(node) for node in self.node.get("anyOf") or self.node.get("oneOf") or ()]

    @property
    def options(self) -> list[Shape]:
        """The members of a union, null left out; of anything else the shape itself."""
        return [member for member in self._members if member.node.get("type") != "null"] or [self]

    @property
    def discriminator(self) -> str | None:
        """The key that tells the members of a union apart."""
        return self.node.get("discriminator", {}).get("propertyName")

    def tagged(self) -> dict[str, Shape]:
        """Value of the discriminator → the member of the union that it selects."""
        mapping = self.node.get("discriminator", {}).get("mapping", {})
        written = [member.get("$ref") for member in self.node.get("oneOf", ())]
        return {
            tag: self._at({"$ref": mapping[tag]}) for tag in sorted(mapping, key=lambda t: written.index(mapping[t]))
        }

    def tags(self) -> list[str]:
        """Every value that the discriminator may have, also those of parts that are installed and not imported."""
        return self.node.get("discriminator", {}).get("names") or list(self.tagged())

    def choose(self, value: Any) -> Shape | None:
        """The member of the union that ``value`` is meant for; None if that cannot be told."""
        if self.discriminator and isinstance(value, dict):
            return self.tagged().get(str(value.get(self.discriminator)))  # it may be a list
        options = self.options
        if len(options) > 1 and isinstance(value, (dict, list)):
            wanted = "object" if isinstance(value, dict) else "array"
            options = [option for option in options if option.node.get("type", wanted) == wanted]
        if len(options) != 1:
            return None
        return self if options[0] is self else options[0].choose(value)

    def child(self, part: str | int) -> Shape | None:
        """The shape behind one key of a mapping or one index of a list; None if there is none or any."""
        if isinstance(part, int):
            ordered = self.node.get("prefixItems", [])
            found = ordered[part] if part < len(ordered) else self.node.get("items")
        else:
            found = self.node.get("properties", {}).get(part, self.node.get("additionalProperties"))
        return self._at(found) if isinstance(found, dict) else None

    def default(self, part: str) -> Any:
        """What the model puts where a recipe does not write the key ``part``; None where it has no default."""
        return self.node.get("properties", {}).get(part, {}).get("default")

    def places(self, path: KeyPath = ()) -> Iterator[KeyPath]:
        """Every key path that runs through mappings with known keys."""
        for option in self.options:
            for key in option.keys if len(path) < 8 else ():
                yield (*path, key)
                yield from option.child(key).places((*path, key))

    def literals(self) -> list[Any]:
        """Every fixed value among the members."""
        return [
            value
            for option in self.options
            for value in option.node.get("enum", [option.node["const"]] if "const" in option.node else [])
        ]

    def describe(self) -> str:
        """What is allowed, in plain words: "a whole number, at least 1 and at most 64"."""
        fixed = self.literals()
        allowed = [
            option._noun() + option._limits() if option.options == [option] else option.describe()
            for option in self.options
            if not option.literals()
        ]
        if fixed:
            allowed.append(("one of " if len(fixed) > 1 else "") + ", ".join(str(value) for value in fixed))
        if len(self._members) > len(self.options):
            allowed.append("null")
        return " or ".join(allowed)

    def _noun(self) -> str:
        node, kind = self.node, self.node.get("type")
        if kind == "object":
            values = node.get("additionalProperties")
            if self.keys:
                return f"a mapping with the keys {', '.join(self.keys)}"
            return f"a mapping to {self._at(values).describe()}" if isinstance(values, dict) else "a mapping"
        if kind == "array":
            if "prefixItems" in node:
                inside = "; ".join(self._at(item).describe() for item in node["prefixItems"])
                return f"a list of {len(node['prefixItems'])} ({inside})"
            return f"a list, each entry {self._at(node['items']).describe()}" if node.get("items") else "a list"
        return "a path" if node.get("format") == "path" else _WORDS.get(kind, "anything")

    def _limits(self) -> str:
        bounds = {} if "prefixItems" in self.node else {key: self.node[key] for key in _LIMITS if key in self.node}
        limits = [_LIMITS[key].format(f"{v:g}" if isinstance(v, float) else v) for key, v in bounds.items()]
        return f", {' and '.join(limits)}" if limits else ""

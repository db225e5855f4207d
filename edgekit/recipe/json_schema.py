"""A model's JSON schema, followed along a key path: which keys there are, and their defaults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from edgekit.recipe.document import KeyPath


def schema_of(model: type[BaseModel]) -> SchemaNode:
    """The schema of a whole document that ``model`` validates."""
    schema = model.model_json_schema()
    return SchemaNode(schema, schema.get("$defs", {}))


@dataclass(frozen=True)
class SchemaNode:
    """A node of a JSON schema (2020-12), as pydantic writes it."""

    node: dict[str, Any]
    definitions: dict[str, Any] = field(repr=False)

    def __post_init__(self) -> None:
        while "$ref" in self.node:
            beside = {key: value for key, value in self.node.items() if key != "$ref"}
            named = self.definitions[self.node["$ref"].rpartition("/")[2]]
            object.__setattr__(self, "node", {**named, **beside})

    def _at(self, node: dict[str, Any]) -> SchemaNode:
        return SchemaNode(node, self.definitions)

    @property
    def keys(self) -> list[str]:
        """The keys a recipe may write here, in the schema's order; none where any may be written."""
        return list(self.node.get("properties", ()))

    @property
    def options(self) -> list[SchemaNode]:
        """The members of a union without null; of anything else the node itself."""
        members = [self._at(node) for node in self.node.get("anyOf") or self.node.get("oneOf") or ()]
        return [member for member in members if member.node.get("type") != "null"] or [self]

    @property
    def discriminator(self) -> str | None:
        """The key whose value selects a member of the union."""
        return self.node.get("discriminator", {}).get("propertyName")

    def tagged(self) -> dict[str, SchemaNode]:
        """Value of the discriminator → the member of the union that it selects."""
        mapping = self.node.get("discriminator", {}).get("mapping", {})
        return {tag: self._at({"$ref": target}) for tag, target in mapping.items()}

    def tags(self) -> list[str]:
        """Every value that the discriminator may have, also those of parts that are installed and not imported."""
        return self.node.get("discriminator", {}).get("names") or list(self.tagged())

    def choose(self, value: Any) -> SchemaNode | None:
        """The member of the union that the mapping or list ``value`` is meant for; None if that cannot be told."""
        if self.discriminator and isinstance(value, dict):
            return self.tagged().get(str(value.get(self.discriminator)))  # it may be a list
        wanted = "object" if isinstance(value, dict) else "array"
        options = [option for option in self.options if option.node.get("type", wanted) == wanted]
        if len(options) > 1 and isinstance(value, dict):  # members that are told apart by keys they require
            options = [o for o in options if value.keys() & {*o.node.get("required", ()), o.discriminator}]
        if len(options) != 1:
            return None
        return self if options[0] is self else options[0].choose(value)

    def child(self, part: str | int) -> SchemaNode | None:
        """The node behind one key of a mapping or one index of a list; None if the schema has none."""
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

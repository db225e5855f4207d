"""Parts in a recipe's schema: fields that name one, and sections whose keys are those of the parts they name.

Both take what other packages offer, and import only what the recipe names.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Annotated, Any, Union

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from edgekit.parts import Parts


class Name:
    """``Annotated[str, Name(STUDENTS)]``: a name of the table, which is not imported for that."""

    def __init__(self, table: Parts):
        self._table = table

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "enum": list(self._table)}

    def _check(self, name: str) -> str:
        if name not in self._table:
            raise PydanticKnownError("literal_error", {"expected": ", ".join(self._table)})
        return name


class Section:
    """``Annotated[Base, Section(TABLE, named, adapter)]``: a ``Base``, or what is validated by ``adapter(names)``.

    named(value)  the names in what is written
    adapter       gets edgekit's own names and those named; the same names, the same adapter

    A value is serialised as what it is, not as ``Base``. The JSON schema describes what is imported, and has the names
    of all that is installed.
    """

    def __init__(
        self,
        table: Parts,
        named: Callable[[dict[str, Any]], list[Any]],
        adapter: Callable[[tuple[str, ...]], TypeAdapter],
    ):
        self._table = table
        self._named = named
        self._adapter = adapter

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        as_it_is = core_schema.simple_ser_schema("any")
        validate = partial(self._validate, source)
        return core_schema.with_info_plain_validator_function(validate, serialization=as_it_is)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(self._adapter(tuple(self._table.imported())).core_schema)
        node = handler.resolve_ref_schema(found)
        if "discriminator" in node:
            node["discriminator"]["names"] = list(self._table)
        else:
            node["properties"] |= {name: {} for name in self._table if name not in node["properties"]}
        return found

    def _validate(self, base: type[BaseModel], value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, base):
            return value
        named = self._named(value) if isinstance(value, dict) else []
        installed = [name for name in named if isinstance(name, str) and name in self._table]
        adapter = self._adapter(tuple(dict.fromkeys([*self._table.own(), *installed])))
        if info.mode == "json":  # a recipe, which is read strictly
            return adapter.validate_json(json.dumps(value), strict=True)
        return adapter.validate_python(value)


def chosen_by(key: str, table: Parts, model: Callable[[str], type[BaseModel]]) -> Section:
    """A section whose ``key`` names the part. ``model(name)`` says its keys, ``key`` a Literal among them."""

    @cache
    def adapter(names: tuple[str, ...]) -> TypeAdapter:
        models = tuple(model(name) for name in names)
        return TypeAdapter(Annotated[Union[models], Field(discriminator=key)])  # noqa: UP007 - built at run time

    return Section(table, lambda written: [written.get(key)], adapter)

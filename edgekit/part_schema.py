"""Parts in a recipe's schema: fields that name one, and sections whose keys are those of the part they name.

Both take what other packages offer, and import only what the recipe names.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationInfo
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
    """``Annotated[Base, Section(type_of)]``: validated as the type that ``type_of`` answers for the written value.

    ``type_of(None)`` is asked for the JSON schema: the type for the parts that were imported until then. A type must be
    the same object each time, or equal to it. Serialised as what the value is, not as ``Base``.
    """

    def __init__(self, type_of: Callable[[Any], Any]):
        self._type_of = type_of

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate, serialization=core_schema.simple_ser_schema("any")
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_adapter(self._type_of(None)).core_schema)

    def _validate(self, value: Any, info: ValidationInfo) -> Any:
        adapter = _adapter(self._type_of(value))
        if info.mode == "json":  # a recipe, which is read strictly
            return adapter.validate_json(json.dumps(value), strict=True)
        return adapter.validate_python(value)


@cache
def _adapter(kind: Any) -> TypeAdapter:
    return TypeAdapter(kind)

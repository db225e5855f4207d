"""Parts in a schema: a field that names one, and what is imported for it."""

from __future__ import annotations

import sys
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from edgekit.part_schema import Name
from edgekit.parts import Parts

TABLE = Parts("edgekit.tests", "number", {"near": 1, "far": 2}, base=int)


class Model(BaseModel):
    of: Annotated[str, Name(TABLE)] = "near"


def test_a_name_is_one_of_the_table(install_package):
    assert Model().of == "near" and Model(of="far").of == "far"
    for wrong in ("seven", "", "Near", 1):
        with pytest.raises(ValidationError):
            Model(of=wrong)
    install_package("some-numbers", {"a.py": "SEVEN = 7"}, {"edgekit.tests": {"seven": "some_numbers.a:SEVEN"}})
    assert Model.model_validate_json('{"of": "seven"}', strict=True).model_dump() == {"of": "seven"}
    with pytest.raises(ValidationError, match="near, far, seven"):
        Model(of="eight")
    assert Model.model_json_schema()["properties"]["of"]["enum"] == ["near", "far", "seven"]
    assert not any(name.startswith("some_numbers") for name in sys.modules)

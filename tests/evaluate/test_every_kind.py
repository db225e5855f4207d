"""Every kind of task has what tables, files and teachers from elsewhere ask of it."""

from __future__ import annotations

import pytest

from edgekit.data.dronescapes.forms import _FORMS as STORED
from edgekit.evaluate.table import cells
from edgekit.heads import HEADS
from edgekit.tasks import KINDS, kind_of
from edgekit.teachers.external.outputs import FORMS as ANSWERS
from tests.tasks.test_kinds import EXAMPLES


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.predictable])
def test_a_table_shows_what_the_meter_says(name):
    task, array = EXAMPLES[name]
    kind = kind_of(task)
    meter = kind.meter(task)
    meter.update(array, array, "a")
    assert kind.headline in kind.columns
    assert set(kind.columns) - {"temporal_consistency"} <= set(meter.result())
    header, rows = cells(task, {"student": {task.name: meter.result()}})
    assert len(rows) == 1 and len(rows[0]) == len(header) > 1


def test_what_asks_for_a_kind_by_name_knows_every_kind():
    """Places that a new kind needs a line in, beside its own files: see CONTRIBUTING.md."""
    assert set(STORED) == set(ANSWERS) == set(KINDS)
    assert {name for name, kind in KINDS.items() if kind.predictable} == set(HEADS)

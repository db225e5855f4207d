"""The table of a run as text."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.evaluate.table import cells, class_cells, markdown_table, retention
from edgekit.tasks import Task, kind_of

SEMANTIC = Task("classes", "semantic", classes=("road", "tree"))
DEPTH = Task("depth", "depth", range=(1.0, 100.0), unit="m")


def semantic(miou, **more) -> dict:
    return {"miou": miou, "iou": {"road": miou, "tree": None}, "samplewise_miou": None, **more}


RESULTS = {
    "student": {"classes": semantic(0.4), "depth": {"absrel": 0.125, "rmse": 12.3456, "delta125": 0.5}},
    "ensemble": {
        "classes": semantic(0.5, temporal_consistency=0.98765),
        "depth": {"absrel": None, "rmse": 1.0, "delta125": 1.0},
    },
}


def test_cells_are_rounded_in_the_table_s_order_without_empty_columns():
    header, rows = cells(SEMANTIC, RESULTS)
    assert header == ["model", "mIoU %", "temporal %"]
    assert rows == [["ensemble", "50.00", "98.77"], ["student, distilled", "40.00", "-"]]
    header, rows = cells(DEPTH, RESULTS)
    assert header == ["model", "AbsRel", "RMSE", "d<1.25 %"]
    assert rows == [["ensemble", "-", "1.000", "100.00"], ["student, distilled", "0.1250", "12.346", "50.00"]]


@pytest.mark.parametrize("kind", ["semantic", "depth", "normals", "binary"])
def test_every_predictable_kind_has_columns_that_its_meter_fills(kind):
    task = Task("t", kind, classes=("a", "b") if kind == "semantic" else (), range=(1.0, 100.0), unit="m")
    native = {
        "semantic": np.array([[0, 1]], np.uint8),
        "binary": np.array([[0, 1]], np.uint8),
        "depth": np.array([[2, 3]], np.float32),
        "normals": np.array([[[0, 0, -1], [0, -1, 0]]], np.float32),
    }[kind]
    meter = kind_of(task).meter(task)
    meter.update(native, native, "s")
    scores = {"student": {"t": meter.result()}}
    header, rows = cells(task, scores)
    assert len(header) >= 3 and len(rows) == 1 and "-" not in rows[0]
    assert kind_of(task).primary.name in meter.result()


def test_class_cells():
    assert class_cells(SEMANTIC, RESULTS) == (
        ["model", "road", "tree"],
        [["ensemble", "50.0", "-"], ["student, distilled", "40.0", "-"]],
    )


def test_retention_is_of_every_task_in_its_own_direction():
    results = {
        "student": {"classes": semantic(0.4), "depth": {"absrel": 0.2}},
        "ensemble": {"classes": semantic(0.5), "depth": {"absrel": 0.15}},
    }
    assert retention([DEPTH, SEMANTIC], results) == pytest.approx({"depth": 0.75, "classes": 0.8})
    results["student"]["depth"] = {"absrel": 0.1}
    assert retention([DEPTH], results) == pytest.approx({"depth": 1.5})  # a smaller error keeps more than all
    assert retention([SEMANTIC], {"ensemble": RESULTS["ensemble"]}) == {}


@pytest.mark.parametrize(("student", "ensemble"), [(None, 0.5), (0.5, None), (0.5, 0.0)])
def test_what_is_unknown_is_kept_out_of_the_retention(student, ensemble):
    rows = {
        "student": {"classes": semantic(student), "depth": {"absrel": student}},
        "ensemble": {"classes": semantic(ensemble), "depth": {"absrel": ensemble}},
    }
    assert retention([SEMANTIC, DEPTH], rows) == {}
    rows["student"]["depth"], rows["ensemble"]["depth"] = {"absrel": 0.0}, {"absrel": 0.1}
    assert retention([SEMANTIC, DEPTH], rows) == {}  # no ratio says what an error of nothing keeps


def test_markdown():
    assert markdown_table(["model", "a", "b"], [["x", "1", "-"]]) == "| model | a | b |\n|---|--:|--:|\n| x | 1 | - |\n"

"""Reports as text: the figures are in them, and what is not there is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.document import timing
from edgekit.bench.report.entries import entry_of, highlights
from edgekit.bench.report.markdown import report_markdown
from edgekit.bench.report.read import read_report
from edgekit.errors import EdgekitError
from edgekit.tasks import KINDS


def document(student="repseg", precision="int8", p50=5.0, miou=0.5, energy=40.0, mode="15W", marks=()) -> dict:
    accuracy = {"task": "semantic", "metric": "miou", "value": miou, "higher_is_better": True}
    return {
        "schema": 1,
        "subject": {
            "bundle": "uav",
            "student": student,
            "size": [544, 960],
            "precision": precision,
            "backend": "tensorrt",
            "runtime": "TensorRT 10.3.0",
            "threads": None,
        },
        "machine": {"board": "Orin", "processor": "ARM", "usable_cores": 6, "edgekit": "0.1.0", "python": "3.10"},
        "timings": {
            name: timing(name, np.full(9, p50 * share)) for name, share in (("end_to_end", 1.0), ("graph", 0.5))
        },
        "throughput": {"end_to_end": 1000 / p50},
        "memory": {"peak_mib": 412.0},
        "accuracy": [] if miou is None else [accuracy],
        "telemetry": {
            "power_mode": mode,
            "total_mw": {"mean": 8000.0},
            "energy_mj_per_frame": energy,
            "temperatures_c": {"tj": {"start": 40, "end": 50, "max": 51.5}},
        },
        "marks": list(marks),
    }


def suite(path: Path, *documents: dict, failed: str | None = None) -> Path:
    rows = [
        {
            "schema": 1,
            "key": str(i),
            "label": f"row {i}",
            "cell": {},
            "suite": "device",
            "status": "done",
            "measurement": d,
        }
        for i, d in enumerate(documents)
    ]
    if failed:
        error = {"what": failed, "where": None, "fix": None}
        rows.append({**rows[0], "key": "f", "label": "lost", "status": "failed", "measurement": None, "error": error})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def written(tmp_path: Path, *documents: dict, **options) -> str:
    return report_markdown(read_report([suite(tmp_path / "s.jsonl", *documents, **options)]))


def test_figures_are_in_it(tmp_path):
    text = written(tmp_path, document(), document("big", "fp16", 12.5, 0.55, 93.25, marks=["throttled: it fell"]))
    for figure in ("5.00", "12.50", "50.00", "55.00", "93.2", "412", "51.5", "15W", "throttled: it fell", "200.0"):
        assert figure in text, figure
    assert text.startswith("# device\n")


def test_a_name_never_ends_its_cell(tmp_path):
    evil = "a|b"
    text = written(tmp_path, document(evil, marks=[evil]), document("b"), failed=evil)
    lines = text.splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("| a"))
    assert len(re.findall(r"(?<!\\)\|", lines[row])) == lines[row - 1].count("|")


def test_failed_rows_are_told(tmp_path):
    assert "- lost: no fp16 engine" in written(tmp_path, document(), failed="no fp16 engine")


def test_without_power_and_accuracy_their_parts_are_left_out(tmp_path):
    bare = document(miou=None)
    bare["telemetry"] = None
    text = written(tmp_path, bare)
    assert "mJ" not in text and "mIoU" not in text and "power mode" not in text


def test_single_measurements_are_reported_too(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(document()))
    found = read_report([tmp_path / "a.json"], title="Mine")
    assert len(found.entries) == 1 and report_markdown(found).startswith("# Mine\n")


def test_a_measurement_that_is_not_whole_is_named(tmp_path):
    broken = document()
    del broken["timings"]["end_to_end"]
    (tmp_path / "a.json").write_text(json.dumps(broken))
    with pytest.raises(EdgekitError, match="incomplete: KeyError 'end_to_end'") as error:
        read_report([tmp_path / "a.json"])
    assert error.value.where == str(tmp_path / "a.json")


def test_an_empty_suite_is_nothing_to_report(tmp_path):
    (tmp_path / "s.jsonl").touch()
    with pytest.raises(EdgekitError, match="nothing to report"):
        read_report([tmp_path / "s.jsonl"])


def entries(*pairs: tuple[float, float]):
    return [entry_of(f"{i}", document(p50=p50, miou=miou, energy=100 - p50)) for i, (p50, miou) in enumerate(pairs)]


def test_highlights():
    found = highlights(entries((5, 0.5), (4, 0.3), (9, 0.6)))
    assert [(what, figure, unit, e.label) for what, figure, unit, e in found] == [
        ("fastest", "4.00", "ms", "1"),
        ("most accurate", "60.00", "semantic mIoU %", "2"),
        ("least energy", "91.0", "mJ per frame", "2"),
    ]


def test_what_all_have_in_common_is_said_once(tmp_path):
    text = written(tmp_path, document(), document("big", "fp16"))
    assert "All: size 544×960, backend tensorrt, power mode 15W." in text
    assert "| student | precision | semantic mIoU % | p50 ms |" in text


WET = """
from types import MappingProxyType

from edgekit.tasks.binary import Binary
from edgekit.tasks.metric import PrimaryMetric


class Wet(Binary):
    name = "wet"
    primary = PrimaryMetric("dry", unit="points", limit=1.0)
    columns = MappingProxyType({"dry": ("dry ‰", 1000, 1)})


WET = Wet()
"""


def test_a_kind_of_another_package_is_shown_with_its_own_title_and_factor(install_package):
    pools = {"task": "pools", "kind": "wet", "metric": "dry", "value": 0.25, "higher_is_better": True}

    def shown() -> tuple[str, float]:
        (accuracy,) = entry_of("row", document() | {"accuracy": [pools]}).accuracy
        return accuracy.unit, accuracy.shown

    assert shown() == ("pools dry", 0.25)  # where it is not installed
    install_package("wet-kind", {"kind.py": WET}, {"edgekit.kinds": {"wet": "wet_kind.kind:WET"}})
    try:
        assert shown() == ("pools dry ‰", 250.0)
    finally:
        KINDS._loaded.pop("wet", None)


@pytest.mark.parametrize(
    ("metric", "unit"),
    [("miou", "t mIoU %"), ("iou", "t IoU %"), ("absrel", "t AbsRel"), ("mean_angle", "t mean °"), ("new", "t new")],
)
def test_a_measurement_that_does_not_say_the_kind(metric, unit):
    said = {"task": "t", "metric": metric, "value": 0.5, "higher_is_better": True}
    (accuracy,) = entry_of("row", document() | {"accuracy": [said]}).accuracy
    assert (accuracy.unit, accuracy.shown) == (unit, 50.0 if "%" in unit else 0.5)

"""Reports: the figures are in them, the page needs nothing else, and hostile names stay text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bench.document import timing
from edgekit.bench.report.entries import entry_of, frontier, highlights, names
from edgekit.bench.report.plot import Bar, Point, bars, scatter, ticks
from edgekit.bench.report.write import write_report
from edgekit.errors import EdgekitError


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


class Page(HTMLParser):
    """Balanced tags, and everything a page could load."""

    VOID = ("meta", "br", "link", "img", "input")

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.loads, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [
            value for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "data", "action")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def written(tmp_path: Path, *documents: dict, **options) -> tuple[str, Page]:
    found = write_report([suite(tmp_path / "s.jsonl", *documents, **options)], html=tmp_path / "r.html")
    return found["text"], Page((tmp_path / "r.html").read_text())


def test_figures_are_in_both_forms(tmp_path):
    text, page = written(tmp_path, document(), document("big", "fp16", 12.5, 0.55, 93.25, marks=["throttled: it fell"]))
    words = " ".join(page.words)
    for figure in ("5.00", "12.50", "50.00", "55.00", "93.2", "412", "51.5", "15W", "throttled: it fell", "200.0"):
        assert figure in text and figure in words, figure
    assert text.startswith("# device\n") and "<title>device</title>" in (tmp_path / "r.html").read_text()
    assert {"svg", "table"} <= set(page.tags)


def test_the_page_loads_nothing(tmp_path):
    _, page = written(tmp_path, document(marks=["a", "b"]), document("big"), failed="no engine")
    raw = (tmp_path / "r.html").read_text()
    assert all(load.startswith("#") for load in page.loads) and page.loads
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not re.search(r"https?:|url\(|@import", raw)
    assert "prefers-color-scheme: dark" in raw
    assert set(re.findall(r"var\((--\w+)\)", raw)) <= set(re.findall(r"(--\w+):", raw))


def test_links_to_notes_lead_somewhere(tmp_path):
    _, page = written(tmp_path, document(marks=["a", "b"]), document("big", marks=["b"]))
    raw = (tmp_path / "r.html").read_text()
    assert sorted(page.loads) == ["#note-1", "#note-2", "#note-2"]
    assert all(f'id="{load[1:]}"' in raw for load in page.loads)
    assert "(row 0)" in raw and "(all)" in raw


def test_hostile_names_stay_text(tmp_path):
    evil = '<script>alert("x")</script>|&'
    text, page = written(tmp_path, document(evil, marks=[evil]), document("b"), failed=evil)
    assert "script" not in page.tags and evil in " ".join(page.words)
    row = next(line for line in text.splitlines() if line.startswith("| <script>"))
    assert len(re.findall(r"(?<!\\)\|", row)) == len(
        re.findall(r"\|", text.splitlines()[text.splitlines().index(row) - 1])
    )


def test_failed_rows_are_told(tmp_path):
    text, page = written(tmp_path, document(), failed="no fp16 engine")
    assert "- lost: no fp16 engine" in text and "no fp16 engine" in " ".join(page.words)


def test_without_power_and_accuracy_their_parts_are_left_out(tmp_path):
    bare = document(miou=None)
    bare["telemetry"] = None
    text, page = written(tmp_path, bare)
    words = " ".join(page.words)
    assert "Energy per frame" not in words and "Accuracy and latency" not in words and "Latency" in words
    assert "mJ" not in text and "mIoU" not in text and "power mode" not in text


def test_single_measurements_are_reported_too(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(document()))
    found = write_report([tmp_path / "a.json"], markdown=tmp_path / "r.md", title="Mine")
    assert (tmp_path / "r.md").read_text() == found["text"] and found["text"].startswith("# Mine\n")
    assert found["rows"] == 1 and found["written"] == [str(tmp_path / "r.md")]


def test_a_measurement_that_is_not_whole_is_named(tmp_path):
    broken = document()
    del broken["timings"]["end_to_end"]
    (tmp_path / "a.json").write_text(json.dumps(broken))
    with pytest.raises(EdgekitError, match="not whole: KeyError 'end_to_end'") as error:
        write_report([tmp_path / "a.json"])
    assert error.value.where == str(tmp_path / "a.json")


def test_an_empty_suite_is_nothing_to_report(tmp_path):
    (tmp_path / "s.jsonl").touch()
    with pytest.raises(EdgekitError, match="nothing to report"):
        write_report([tmp_path / "s.jsonl"])


def entries(*pairs: tuple[float, float]):
    return [entry_of(f"{i}", document(p50=p50, miou=miou, energy=100 - p50)) for i, (p50, miou) in enumerate(pairs)]


def test_highlights():
    found = highlights(entries((5, 0.5), (4, 0.3), (9, 0.6)))
    assert [(what, figure, unit, e.label) for what, figure, unit, e in found] == [
        ("fastest", "4.00", "ms", "1"),
        ("most accurate", "60.00", "semantic mIoU %", "2"),
        ("least energy", "91.0", "mJ per frame", "2"),
    ]


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_frontier_is_what_none_beats(pairs):
    found = entries(*pairs)
    best = frontier(found)
    beaten = [
        e
        for e in found
        if any(
            (o.p50 <= e.p50 and o.main_accuracy.value >= e.main_accuracy.value)
            and (o.p50 < e.p50 or o.main_accuracy.value > e.main_accuracy.value)
            for o in found
        )
    ]
    assert not {e.label for e in best} & {e.label for e in beaten}
    places = {(e.p50, e.main_accuracy.value) for e in best}
    assert places == {(e.p50, e.main_accuracy.value) for e in found if e not in beaten}


def test_where_less_is_better():
    found = entries((5, 0.2), (4, 0.5), (9, 0.6))
    for entry in found:
        object.__setattr__(entry.accuracy[0], "higher_is_better", False)
    assert [e.label for e in frontier(found)] == ["1", "0"]


@given(st.integers(-(10**7), 10**7), st.integers(0, 10**7))
def test_ticks_are_round_and_cover(low, span):
    low, high = low / 1000, (low + span) / 1000
    found = ticks(low, high)
    steps = np.diff(found)
    little = 1e-6 * steps[0]
    assert 2 <= len(found) <= 12 and found[0] <= low + little and found[-1] >= high - little
    assert np.allclose(steps, steps[0])
    mantissa = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-9)
    assert np.isclose(mantissa, [1, 2, 5, 10]).any()


def test_plots_are_svg_whose_lengths_are_the_values():
    root = ElementTree.fromstring(bars([Bar("a", 10.0, "h", 0, 15.0), Bar("b & c", 5.0, "<h>", 1)], "ms"))
    widths = [float(e.get("width")) for e in root.iter("rect")]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    points = [Point(0.0, 1.0, "a", "h"), Point(4.0, 3.0, "b", "h", 1, 1), Point(8.0, 3.0, "", "h", 2, 2)]
    root = ElementTree.fromstring(scatter(points, [(0.0, 1.0), (4.0, 3.0)], "x", "y"))
    circle, square = next(root.iter("circle")), next(root.iter("rect"))
    line = [tuple(map(float, p.split(","))) for p in next(root.iter("polyline")).get("points").split()]
    assert line[0] == (float(circle.get("cx")), float(circle.get("cy")))
    assert line[1] == pytest.approx((float(square.get("x")) + 5.5, float(square.get("y")) + 5.5), abs=0.1)
    assert line[1][0] > line[0][0] and line[1][1] < line[0][1]


def test_labels_lie_on_nothing():
    points = [Point(5.0 + i % 3, 1.0 + i / 10, f"a long label {i}", "") for i in range(9)]
    root = ElementTree.fromstring(scatter(points, [], "x", "y"))
    boxes = [(float(c.get("cx")) - 6, float(c.get("cy")) - 6, 12.0, 12.0) for c in root.iter("circle")]
    labels = [t for t in root.iter("text") if t.get("class") == "label"]
    assert len(labels) >= 6  # one without a place is left to its hint
    for text in labels:
        width, x = 7.0 * len(text.text), float(text.get("x"))
        left = {"start": x, "end": x - width, "middle": x - width / 2}[text.get("text-anchor")]
        boxes.append((left, float(text.get("y")) - 11, width, 14.0))
    for i, (x, y, w, h) in enumerate(boxes):
        for a, b, c, d in boxes[:i]:
            assert x >= a + c or a >= x + w or y >= b + d or b >= y + h


def test_names_are_as_short_as_they_can_be():
    pairs = [("a", "int8"), ("a", "fp16"), ("b", "int8")]
    found = [entry_of(f"whole {s} {p}", document(s, p)) for s, p in pairs]
    assert names(found, ("precision", "size")) == ["a int8", "a fp16", "b int8"]
    assert names(found[1:], ("size",)) == ["a", "b"]
    twice = [entry_of(f"{i}", document()) for i in range(2)]
    assert names(twice, ("precision",)) == ["0", "1"]
    modes = [entry_of(mode, document(mode=mode)) for mode in ("15W", "25W")]
    assert names(modes, ("precision",), within="power_mode") == ["repseg", "repseg"]


def test_what_all_have_in_common_is_said_once(tmp_path):
    text, _ = written(tmp_path, document(), document("big", "fp16"))
    assert "All: size 544×960, backend tensorrt, power mode 15W." in text
    assert "| student | precision | semantic mIoU % | p50 ms |" in text


def test_bars_of_a_power_mode_stand_together(tmp_path):
    _, page = written(tmp_path, document(p50=9.0), document("b", mode="MAXN"), document("c", p50=2.0))
    words = [w for w in page.words if w in ("Power mode 15W", "Power mode MAXN", "repseg", "b", "c")]
    first = words[words.index("Power mode 15W") :][:5]
    assert first == ["Power mode 15W", "c", "repseg", "Power mode MAXN", "b"]

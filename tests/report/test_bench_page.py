"""The page of measurements: the figures are in it, it needs nothing else, and hostile names stay text."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bench.report.entries import Accuracy, Entry
from edgekit.bench.report.read import Measurements
from edgekit.report.bench import bench_page, frontier, names


def entry(label="row 0", student="repseg", precision="int8", p50=5.0, miou: float | None = 0.5, **fields) -> Entry:
    usual = Entry(
        label=label, student=student, size="544×960", precision=precision, backend="tensorrt", power_mode="15W",
        p50=p50, p99=1.2 * p50, jitter=0.1, gpu=None, graph=0.5 * p50, throughput=1000 / p50, energy=40.0, power=8.0,
        temperature=51.5, memory=412.0, accuracy=() if miou is None else (Accuracy("semantic", "miou", miou, True),),
        marks=(), machine="Orin, 6 cores", software="TensorRT 10.3.0",
    )  # fmt: skip
    return dataclasses.replace(usual, **fields)


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
        self.loads += [v for name, v in attrs if name in ("src", "href", "xlink:href", "srcset", "data", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data.strip())


def written(*entries: Entry, failed: tuple[tuple[str, str], ...] = ()) -> tuple[str, Page]:
    raw = bench_page(Measurements("device", list(entries), list(failed)))
    return raw, Page(raw)


def test_figures_are_in_it():
    other = entry("row 1", "big", "fp16", 12.5, 0.55, energy=93.25, marks=("throttled: it fell",), power_mode="MAXN")
    raw, page = written(entry(), other)
    words = " ".join(page.words)
    for figure in ("5.00", "12.50", "50.00", "55.00", "93.2", "412", "51.5", "15W", "throttled: it fell", "200.0"):
        assert figure in words, figure
    assert "<title>device</title>" in raw and page.tags.count("svg") == 3
    assert "semantic mIoU %" in page.words and "p50 end to end, ms" in page.words


def test_the_page_loads_nothing():
    raw, page = written(entry(marks=("a", "b")), entry("row 1", "big"), failed=(("lost", "no engine"),))
    assert all(load.startswith("#") for load in page.loads) and page.loads
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    without_names_of_formats = re.sub(r'xmlns(:\w+)?="[^"]*"', "", raw)
    assert not re.search(r"https?:|url\((?!#)|@import", without_names_of_formats)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_the_window_of_a_browser(in_browser, width):
    raw, _ = written(entry(marks=("a" * 60, "b")), entry("row 1", "big" * 20), failed=(("lost", "no engine"),))
    assert in_browser(raw, width) == {"width": width, "content": width, "broken": 0}


def test_every_colour_has_a_value_in_light_and_dark():
    raw, _ = written(entry(), entry("row 1", "big"))
    light, dark = raw.split("prefers-color-scheme: dark")
    used = set(re.findall(r"var\((--\w+)\)", raw))
    assert used <= set(re.findall(r"(--\w+):", light)) == set(re.findall(r"(--\w+):", dark.split("\n}")[0]))


def test_links_to_notes_lead_somewhere():
    raw, page = written(entry(marks=("a", "b")), entry("row 1", "big", marks=("b",)))
    notes = [load for load in page.loads if load.startswith("#note")]
    assert sorted(notes) == ["#note-1", "#note-2", "#note-2"]
    assert all(f'id="{load[1:]}"' in raw for load in page.loads)
    assert "(row 0)" in raw and "(all)" in raw


def test_hostile_names_stay_text():
    evil = '<script>alert("x")</script>|&$x$'
    _, page = written(entry(evil, evil, marks=(evil,)), entry("b", "b"), failed=((evil, evil),))
    assert "script" not in page.tags and page.words.count(evil) >= 3  # a bar, the legend, a cell


def test_failed_rows_are_told_even_alone():
    _, page = written(failed=(("lost", "no fp16 engine"),))
    assert "no fp16 engine" in " ".join(page.words) and "svg" not in page.tags


def test_without_power_and_accuracy_their_parts_are_left_out():
    _, page = written(entry(miou=None, energy=None, power=None, power_mode=None))
    assert "Latency" in page.words and not {"Energy per frame", "Accuracy and latency", "W"} & set(page.words)


def test_bars_of_a_power_mode_stand_together():
    _, page = written(entry(p50=9.0), entry("1", "b", power_mode="MAXN"), entry("2", "c", p50=2.0))
    words = [w for w in page.words if w in ("Power mode 15W", "Power mode MAXN", "repseg", "b", "c")]
    latency = words[words.index("Power mode 15W") - 2 :][:5]
    assert sorted(latency[:2]) == ["c", "repseg"] and latency[2:] == ["Power mode 15W", "b", "Power mode MAXN"]


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_frontier_is_what_none_beats(pairs):
    found = [entry(str(i), p50=p50, miou=miou) for i, (p50, miou) in enumerate(pairs)]
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
    found = [
        entry(str(i), p50=p50, accuracy=(Accuracy("depth", "absrel", value, False),))
        for i, (p50, value) in enumerate([(5, 0.2), (4, 0.5), (9, 0.6)])
    ]
    assert [e.label for e in frontier(found)] == ["1", "0"]


def test_names_are_as_short_as_they_can_be():
    found = [entry(f"whole {s} {p}", s, p) for s, p in (("a", "int8"), ("a", "fp16"), ("b", "int8"))]
    assert names(found, ("precision", "size")) == ["a int8", "a fp16", "b int8"]
    assert names(found[1:], ("size",)) == ["a", "b"]
    assert names([entry("0"), entry("1")], ("precision",)) == ["0", "1"]
    modes = [entry(mode, power_mode=mode) for mode in ("15W", "25W")]
    assert names(modes, ("precision",), within="power_mode") == ["repseg", "repseg"]

"""Plots show the values they are given, and their SVG can stand in a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib
import pytest

from edgekit.report.plots import COLOURS, INKS, SERIES, Bar, Point, bars, scatter, svg

GROUPS = {"15W": [Bar("a", 10.0, "a", 15.0), Bar("b & c", 5.0, "b")], "MAXN": [Bar("a", 4.0, "a")]}
POINTS = [Point(2.0, 1.0, "", "a", "int8"), Point(4.0, 3.0, "$x$ <b>", "b", "int8"), Point(8.0, 2.0, "z", "b", "fp16")]


def test_bars_are_as_long_as_their_values_and_whiskers_reach_the_upper():
    figure = bars(GROUPS, "ms", ["a", "b"])
    first, second = figure.axes
    assert [bar.get_width() for bar in first.patches] == [10.0, 5.0]
    assert [bar.get_width() for bar in second.patches] == [4.0]
    assert first.get_xlim() == second.get_xlim() and first.get_xlim()[1] > 15
    ends = [whisker.get_segments()[0][:, 0].tolist() for whisker in first.collections]
    assert ends == [[10.0, 15.0]] and not second.collections
    assert [t.get_text() for t in first.get_yticklabels()] == ["a", "b & c"]
    tops = [bar.get_window_extent().y0 for bar in first.patches]
    assert tops[0] > tops[1]  # the first on top
    assert (first.get_title("left"), second.get_title("left")) == ("15W", "MAXN")
    assert bars({"15W": GROUPS["15W"]}, "ms", ["a", "b"]).axes[0].get_title("left") == ""


def test_points_lie_where_they_are_and_the_line_goes_through_them():
    figure = scatter(POINTS, [(2.0, 1.0), (4.0, 3.0)], ("x", "y"), ["a", "b"])
    (axes,) = figure.axes
    line, *points = axes.lines
    assert line.get_xydata().tolist() == [[2.0, 1.0], [4.0, 3.0]]
    assert [p.get_xydata()[0].tolist() for p in points] == [[p.x, p.y] for p in POINTS]
    assert [p.get_color() for p in points] == [SERIES[0], SERIES[1], SERIES[1]]
    assert points[0].get_marker() == points[1].get_marker() != points[2].get_marker()
    assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] > 8


@pytest.mark.parametrize(
    ("series", "said"), [(["a", "b"], ["a", "b", "int8", "fp16"]), (["a", "c", "b"], ["a", "b", "int8", "fp16"])]
)
def test_the_legend_names_what_is_shown(series, said):
    figure = scatter(POINTS, [], ("x", "y"), series)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == said
    one = [Point(1.0, 1.0, "", "a", "int8"), Point(2.0, 2.0, "", "a", "int8")]
    assert scatter(one, [], ("x", "y"), ["a"]).legends == []


def test_a_series_has_the_same_colour_in_every_plot():
    figure = bars({"": [Bar("b", 1.0, "b")]}, "ms", ["a", "b"])
    assert matplotlib.colors.to_hex(figure.axes[0].patches[0].get_facecolor()) == SERIES[1]


def test_the_svg_is_one_element_whose_colours_and_letters_are_the_page_s():
    before = dict(matplotlib.rcParams)
    text = svg(
        scatter([*POINTS, Point(1.0, 1.0, "屋根", "a", "int8")], [], ("ms", "mIoU %"), ["a", "b"]), 'a "plot" & <b>'
    )
    assert dict(matplotlib.rcParams) == before
    root = ElementTree.fromstring(text)
    assert root.attrib["aria-label"] == 'a "plot" & <b>' and root.attrib["class"] == "plot"
    assert {"$x$ <b>", "屋根", "ms", "mIoU %"} <= {
        "".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")
    }
    used = set(re.findall(r"var\(--(\w+)\)", text))
    assert {"c0", "c1", *INKS} <= used <= set(COLOURS)
    assert not re.search("|".join(COLOURS.values()), text)


def test_the_same_plot_is_the_same_text():
    assert svg(bars(GROUPS, "ms", ["a", "b"]), "x") == svg(bars(GROUPS, "ms", ["a", "b"]), "x")

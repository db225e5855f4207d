"""The page of `edgekit search`, of a result written by hand."""

from __future__ import annotations

import re

import pytest

from edgekit.report.search import search_page, shape_label

EVIL = "<script>alert(1)</script>"


def point(number: int, score: float, ms: float, width: str, **more) -> dict:
    values = {"student.width": width, "precision": "int8"}
    about = {"band_ms": None, "memory": 1_500_000, "parameters": 1234, "own": False, "front": True, "fastest": True}
    return {"number": number, "score": score, "ms": ms, "values": values, "run": f"runs/s-{number}"} | about | more


def result(points: list[dict], **more) -> dict:
    return {
        **{"study": "runs/s", "page": "runs/s/search.html", "recipe": "tiny", "task": "semantic", "metric": "miou"},
        **{"higher_is_better": True, "budget_ms": 5.0, "latency": "measured here", "held_back": 9, "steps": [1, 4]},
        **{"trained": 3, "space": {"student.width": "8, 16"}, "left": {"over the budget": 7}},
        **{"points": points, "best": points[0]["number"] if points else None},
        **more,
    }


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_it_shows_every_point_and_why_others_were_left():
    beaten = point(4, 0.5, 4.0, "16", front=False, fastest=False, run=None)
    page = search_page(
        result([point(3, 0.75, 3.0, "16", own=True), point(1, 0.625, 1.25, "8", band_ms=(0.5, 6.0)), beaten])
    )
    text = text_of(page)
    assert "3 0.7500 3.00 1.50 1,234 yes width 16 runs/s-3" in text
    assert "1 0.6250 1.25 (0.50 to 6.00) 1.50 1,234 yes width 8 runs/s-1" in text
    assert "4 0.5000 4.00 1.50 1,234 width 16" in text
    assert "7 over the budget" in text and "the recipe's own student" in page.replace("&#39;", "'")
    assert not re.search(r"https?://(?!www\.w3\.org)", page) and "<script" not in page


def test_nothing_is_unescaped():
    evil = point(1, 0.5, 1.0, EVIL, run=EVIL, values={EVIL: EVIL, "precision": "int8"})
    strange = dict.fromkeys(("recipe", "task", "metric", "latency"), EVIL)
    page = search_page(result([evil], space={EVIL: EVIL}, left={EVIL: 1}, **strange))
    assert EVIL not in page and "&lt;script&gt;" in page


def test_a_search_that_trained_nothing():
    assert "over the budget" in search_page(result([]))


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_the_window_of_a_browser(in_browser, width):
    points = [point(0, 0.5, 4.0, "32"), point(1, 0.45, 3.0, "16"), point(2, 0.4, 2.0, "8")]
    assert in_browser(search_page(result(points)), width) == {"width": width, "content": width, "broken": 0}


def test_a_label_names_what_differs():
    points = [point(1, 0, 0, "8"), point(2, 0, 0, "16")]
    assert shape_label(points[0]["values"], points) == "width 8"
    assert shape_label(points[0]["values"], points[:1]) == "width 8, precision int8"

"""The page of `data show`: what it shows, against the maps that were written."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from edgekit.cli.main import main
from edgekit.extract.files import write_map
from edgekit.extract.show import Summary, show
from edgekit.tasks import Task, kind_of


def pictures(text):
    """alt -> the pictures of that name, in the page's order."""
    found: dict[str, list[Image.Image]] = {}
    for data, name in re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"[^>]*alt="([^"]*)"', text):
        found.setdefault(name, []).append(Image.open(io.BytesIO(base64.b64decode(data))))
    return found


def test_the_page_shows_every_map_and_the_worst_disagreement(work, capsys, stored):
    work.run()
    path = work.out / "train_set/unsure/a_000003.npz"  # made the worst, by hand
    write_map(path, np.ones((48, 96, 1), np.float16), "0" * 16)
    page = work.base / "page.html"
    assert main(["data", "show", str(work.out), "--out", str(page), "--frames", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": str(page)}
    text = page.read_text(encoding="utf-8")
    found = pictures(text)
    assert {name: len(shown) for name, shown in found.items()} == {
        **dict.fromkeys(["hsv", "depth", "normals_svd(depth)", "built", "built(nearby)", "two", "semantic_output"], 3),
        **dict.fromkeys(["safe-landing"], 3),
        **dict.fromkeys(["rgb", "seg_a", "seg_b", "unsure"], 3 + 4),  # beside the worst four
        "flow": 1,  # of the frames 0, 4 and 7 two are the last of their films
    }
    worst = text.index("1.000 on the mean")
    assert "train_set/a_000003" in text[worst - 200 : worst] and "on the mean" not in text[: worst - 200]
    # the first picture of rgb is that of the worst frame
    rgb = stored(work.out, "train_set", "rgb", "a_000003")
    small = np.asarray(Image.fromarray(rgb).resize(found["rgb"][0].size, Image.Resampling.BILINEAR)).astype(float)
    assert np.abs(np.asarray(found["rgb"][0]) - small).mean() < 6
    # nothing from elsewhere, nothing that runs
    assert not re.search(r"<script|<link|https?://(?!www\.w3\.org)|@import|url\(", text)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_the_pages_fit_the_window_of_a_browser(work, in_browser, width):
    """Wide tables have a bar of their own; the page itself is never wider than the window."""
    work.run()
    list_ = work.base / "these.txt"
    assert main(["data", "select", str(work.out), "--count", "3", "--out", str(list_)]) == 0
    for page in (show(work.out), list_.with_name("these.txt.html").read_text(encoding="utf-8")):
        assert in_browser(page, width) == {"width": width, "content": width, "broken": 0}


def test_the_page_of_a_folder_with_holes(work):
    work.run()
    (work.out / "train_set/depth/a_000000.npz").write_bytes(b"PK")
    page = work.base / "page.html"
    assert main(["data", "show", str(work.out), "--out", str(page)]) == 0
    assert len(pictures(page.read_text(encoding="utf-8"))["depth"]) == 7


def test_a_summary_counts_values_and_holes():
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.2, 0.7, (20, 30)).astype(np.float32)
    depth[:5] = np.nan
    found = Summary.of(Task("d", "depth"))
    found.add(depth)
    expected = np.histogram(depth[5:], bins=24, range=(0, 1))[0]
    np.testing.assert_array_equal(found.counts, expected)
    assert found.missing == "25.0 %" and found.range == f"{depth[5:].min():.3g} to {depth[5:].max():.3g}"

    classes = rng.integers(0, 3, (20, 30)).astype(np.uint8)
    classes[0] = 255
    found = Summary.of(Task("s", "semantic", classes=("a", "b", "c", "d")))
    found.add(classes)
    assert found.counts.tolist() == [int((classes == i).sum()) for i in range(4)]
    assert found.missing == "5.0 %" and found.range == "3 of 4 classes"

    rgb = np.full((4, 4, 3), 255, np.uint8)
    found = Summary.of(Task("rgb", "modality", channels=3, range=(0.0, 255.0)))
    found.add(rgb)
    assert found.missing == "0.0 %" and found.counts[-1] == 48 and found.range == "255 to 255"


def test_bins_are_those_of_the_kind_where_a_task_has_no_range_of_its_own(monkeypatch):
    assert (Summary.of(Task("n", "normals")).edges[[0, -1]] == (-1, 1)).all()
    assert list(Summary.of(Task("b", "binary")).edges) == [-0.5, 0.5, 1.5]
    monkeypatch.setattr(type(kind_of(Task("d", "depth"))), "usual_range", (-8.0, 8.0))  # as another package's kind
    assert (Summary.of(Task("d", "depth")).edges[[0, -1]] == (-8, 8)).all()
    assert (Summary.of(Task("d", "depth", range=(2.0, 9.0))).edges[[0, -1]] == (2, 9)).all()

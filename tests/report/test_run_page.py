"""The page of `edgekit report`, on runs written by hand."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.report.run import read_run, run_page

NAMES = {"ensemble": "ensemble", "baseline": "student, labels only", "student": "student, distilled"}
RESULT = {
    "split": "val",
    "scores": {
        "ensemble": {"semantic": {"miou": 0.6, "iou": {"<b>roof</b>": 0.7, "grass": 0.5}}, "depth": {"absrel": 0.11}},
        "baseline": {"semantic": {"miou": 0.4, "iou": {"<b>roof</b>": 0.6, "grass": 0.2}}, "depth": {"absrel": 0.25}},
        "student": {"semantic": {"miou": 0.5, "iou": {"<b>roof</b>": 0.3, "grass": 0.7}}, "depth": {"absrel": 0.125}},
    },
    "cells": {
        "semantic": [
            ["model", "mIoU %", "temporal %"],
            [[NAMES["ensemble"], "60.00", "-"], [NAMES["baseline"], "40.00", "-"], [NAMES["student"], "50.00", "-"]],
        ],
        "depth": [
            ["model", "AbsRel"],
            [[NAMES["ensemble"], "0.1100"], [NAMES["baseline"], "0.2500"], [NAMES["student"], "0.1250"]],
        ],
    },
    "retention": {"semantic": 0.8333, "depth": None},
    "pictures": ["/elsewhere/pictures/semantic-val.png"],
    "parameters": 354122,
    "teachers": [4000000, 4000000],
    "ensemble": "8 passes of networks and 60 votes of external members",
    "frames": {"train": 280, "val": 70},
    "target_bytes_per_frame": 1000.0,
    "seconds": {"teacher 1": 120.0, "distilled student": 90.0},
    "trial": {},
    "requirements": [{"name": "ensemble beats one pass", "holds": False, "found": "0.5 against 0.6"}],
}
LOG = [
    {"stage": "teacher 1", "step": 10, "loss": 2.0},
    {"stage": "teacher 1", "step": 20, "loss": 1.5},
    {"stage": "teacher 1", "note": "continues"},
    {"stage": "teacher 1", "step": 20, "loss": 1.25},
    {"stage": "targets", "step": 5},
]


@pytest.fixture
def write(tmp_path):
    def write(name: str, **changes: object) -> Path:
        folder = tmp_path / name
        (folder / "pictures").mkdir(parents=True)
        (folder / "pictures" / "semantic-val.png").write_bytes(b"\x89PNG of the test")
        (folder / "result.json").write_text(json.dumps({**copy.deepcopy(RESULT), **changes}))
        (folder / "environment.json").write_text(
            json.dumps({"machine": "x86_64", "threads": 2, "packages": {"torch": "2"}})
        )
        (folder / "recipe.yaml").write_text("name: uav  # </pre><script>alert(1)</script>\n")
        lines = [json.dumps(entry) for entry in LOG] + ['{"stage": "teacher 1", "st']
        (folder / "log.jsonl").write_text("\n".join(lines))
        return folder

    return write


def model(seed: int) -> dict:
    """Counts of a model on six frames of two classes, one in each block."""
    blocks = [[[40 + 10 * i % 7 + seed, 70, 60 + seed], [20 + seed, 30, 40 - seed]] for i in range(6)]
    return {
        "scores": [0.1 * i + 0.01 * seed for i in range(6)],
        "disagreement": [0.01 * i for i in range(6)],
        "confusion": [[360, 60, 0], [45, 135, 0]],
        "blocks": blocks,
        "levels": [[0] * 200 + [10] * 56, [0] * 200 + [8] * 56],
    }


def breakdown(seed: int) -> dict:
    metric = {"title": "mIoU %", "factor": 100, "decimals": 2, "higher": True}
    models = {"ensemble": model(3), "baseline": model(0), "student": model(seed)}
    return {
        "frames": [f"<i>f{i}</i>" for i in range(6)],
        "blocks": list(range(6)),
        "tasks": {"semantic": {"metric": metric, "classes": ["<b>roof</b>", "grass"], "models": models}},
    }


class _Tags(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def test_the_page_says_what_the_run_found_and_loads_nothing(write):
    text = run_page([read_run(write("uav-1"))])
    said = words(text)
    assert "FAILS ensemble beats one pass: 0.5 against 0.6" in said
    assert "50.00 mIoU %; on the labels alone 40.00" in said and "83.3 %" in said and "354,122" in said
    assert "student, distilled 50.00 -" in said and "student, distilled 0.1250" in said
    tags = _Tags(text).found
    assert not [tag for tag, _ in tags if tag in ("script", "link", "iframe")]
    sources = [attributes.get("src") or attributes.get("href") for _, attributes in tags]
    assert all(source.startswith(("data:", "#")) for source in sources if source)
    assert "data:image/png;base64,iVBORyBvZiB0aGUgdGVzdA==" in text


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_the_window_of_a_browser(write, in_browser, width):
    """Of one run and of two beside each other, with long names of frames and classes."""
    runs = []
    for name, seed in (("uav-1", 1), ("uav-2", 2)):
        folder = write(name, breakdown="/elsewhere/breakdown-val.json")
        Image.new("RGB", (1600, 300)).save(folder / "pictures" / "semantic-val.png")
        found = breakdown(seed)
        found["frames"] = ["a-film-of-a-very-long-name/" * 6 + str(i) for i in range(6)]
        (folder / "breakdown-val.json").write_text(json.dumps(found))
        runs.append(read_run(folder))
    for shown in (runs[:1], runs):
        assert in_browser(run_page(shown), width) == {"width": width, "content": width, "broken": 0}


def test_names_and_recipes_are_text_and_no_markup(write):
    text = run_page([read_run(write("uav-1"))])
    assert "<b>roof</b>" not in text and "&lt;b&gt;roof&lt;/b&gt;" in text
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_classes_stand_worst_first(write):
    said = words(run_page([read_run(write("uav-1"))]))
    assert "&lt;b&gt;roof&lt;/b&gt; 70.0 60.0 30.0 grass 50.0 20.0 70.0" in said


def test_a_later_line_of_a_step_counts_and_a_line_that_was_cut_off_does_not(write):
    assert read_run(write("uav-1")).curves == {"teacher 1": [(10.0, 2.0), (20.0, 1.25)]}


def test_other_runs_are_shown_less_the_first(write):
    cells = copy.deepcopy(RESULT["cells"])
    cells["semantic"][1][2][1] = "52.50"
    cells["depth"][1][2][1] = "0.1000"
    scores = copy.deepcopy(RESULT["scores"])
    scores["student"]["semantic"]["iou"]["grass"] = 0.65
    other = write("uav-2", cells=cells, scores=scores)
    said = words(run_page([read_run(write("uav-1")), read_run(other)]))
    assert "semantic: uav-2 less uav-1" in said and "semantic, IoU per class: uav-2 less uav-1" in said
    assert "student, distilled +2.50 –" in said and "student, labels only +0.00 –" in said
    assert "student, distilled -0.0250" in said
    assert "grass +0.0 +0.0 -5.0" in said


def test_a_task_or_model_that_the_first_run_lacks_is_not_compared(write):
    cells = {"semantic": [["model", "mIoU %"], RESULT["cells"]["semantic"][1][:1]]}
    first = write("uav-1", cells=cells, scores={"ensemble": RESULT["scores"]["ensemble"]})
    said = words(run_page([read_run(first), read_run(write("uav-2"))]))
    assert "semantic: uav-2 less uav-1" in said and "depth: uav-2" not in said
    assert "student, distilled +" not in said


def test_a_run_that_its_trial_ended(write):
    folder = write("uav-1")
    (folder / "result.json").write_text(
        json.dumps({"trial": {}, "requirements": [{"name": "better", "holds": False, "found": "worse by 1 ± 0.2"}]})
    )
    assert "FAILS better: worse by 1 ± 0.2" in words(run_page([read_run(folder)]))


def with_breakdown(folder: Path, seed: int) -> Path:
    (folder / "breakdown-val.json").write_text(json.dumps(breakdown(seed)))
    return folder


def test_what_scores_are_made_of(write):
    run = read_run(with_breakdown(write("uav-1", breakdown="/elsewhere/breakdown-val.json"), 2))
    text = run_page([run])
    said = words(text)
    assert "label &lt;b&gt;roof&lt;/b&gt; grass &lt;b&gt;roof&lt;/b&gt; 86 14 grass 25 75" in said
    assert "Worst frames frame mIoU %, distilled student &lt;i&gt;f0&lt;/i&gt; 2.00" in said
    assert "Most disputed frames frame disagreement of the ensemble, 0 to 1 &lt;i&gt;f5&lt;/i&gt; 0.0500" in said
    assert "What distillation adds to the student on the labels alone" in said
    levels = [
        [level / 255 for level in range(200, 256) if level * 15 // 255 == b or (level, b) == (255, 14)]
        for b in range(15)
    ]
    error = 100 * sum(abs(sum(of_bin) - 0.8 * len(of_bin)) for of_bin in levels) / 56
    assert f"Expected calibration error: ensemble {error:.1f} %, labels only {error:.1f} %, distilled" in said
    assert "<b>" not in text.replace("<b>holds</b>", "").replace("<b>FAILS</b>", "") and "<i>" not in text
    assert "1.0 kB" in said and "per frame, of 8 passes of networks and 60 votes" in said


def test_runs_on_the_same_frames_differ_with_an_error(write):
    runs = [read_run(with_breakdown(write(f"uav-{i}", breakdown="breakdown-val.json"), i)) for i in (1, 2)]
    said = words(run_page(runs))
    after = said[said.index("semantic, distilled student: uav-2 less uav-1") :]
    # 240 + seed pixels right over the union: 420 + 360 + 6 seed - (right)
    right = sum(40 + 10 * i % 7 for i in range(6))
    ious = [100 * (right + 6 * s) / (420 + 360 + 6 * s - right - 6 * s) for s in (1, 2)]
    assert f"&lt;b&gt;roof&lt;/b&gt; {ious[0]:.2f} {ious[1]:.2f} {ious[1] - ious[0]:+.2f} ± " in after
    assert "IoU per class: uav-2 less uav-1" not in said


def test_runs_on_other_frames_differ_without_one(write):
    runs = [read_run(with_breakdown(write(f"uav-{i}", breakdown="breakdown-val.json"), i)) for i in (1, 2)]
    runs[1].breakdown["frames"][0] = "another"
    said = words(run_page(runs))
    assert "semantic, IoU per class: uav-2 less uav-1" in said and "distilled student: uav-2" not in said


def test_a_damaged_breakdown_is_told(write):
    folder = write("uav-1", breakdown="breakdown-val.json")
    (folder / "breakdown-val.json").write_text(json.dumps({**breakdown(1), "blocks": [0]}))
    with pytest.raises(EdgekitError, match="damaged"):
        read_run(folder)
    (folder / "breakdown-val.json").unlink()
    assert read_run(folder).breakdown is None


@pytest.mark.parametrize("damage", [{"requirements": 3}, {"cells": {"semantic": "x"}}, {"seconds": {"a": "b"}}])
def test_a_damaged_result_is_told(write, damage):
    with pytest.raises(EdgekitError, match="damaged") as caught:
        read_run(write("uav-1", **damage))
    assert caught.value.where.endswith("result.json") and caught.value.fix


def test_the_command_writes_one_file_or_says_what_is_no_run(write, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["report", str(write("uav-1")), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["page"] == str(out) and out.read_text().startswith("<!DOCTYPE html>")
    assert main(["report", str(tmp_path), "--out", str(out)]) == 2
    assert "no finished run" in capsys.readouterr().err

"""`edgekit search` on the tiny recipe: what is shared, what is dropped, what goes on, what comes out."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from edgekit.cli.main import main
from edgekit.networks import parameter_count
from edgekit.pipeline.run import Run
from edgekit.pipeline.training import untrained_student
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import dump, load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.search import command

pytest.importorskip("optuna")

SMALL = ("precision=fp16", "export.upsampling=nearest", "student.input_scale=1.0", "student.width=8,16,64")
OPTIONS = ["--board", "orin-nano-8gb", "--trials", "2", *(word for text in SMALL for word in ("--vary", text))]


@pytest.fixture(scope="module")
def recipe(photographs) -> str:
    return str(photographs / "tiny.yaml")


@pytest.fixture(scope="module")
def searched(recipe, tmp_path_factory) -> tuple[Path, dict]:
    """The folder of a study that is done, and what the command said."""
    study = tmp_path_factory.mktemp("runs") / "search-tiny"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(["search", recipe, "--study", str(study), "--budget", "5ms", "--json", *OPTIONS]) == 0
    return study, json.loads(said.getvalue())


def search(capsys, recipe, study, *options: str, budget: str = "5ms", code: int = 0) -> dict:
    assert main(["search", recipe, "--study", str(study), "--budget", budget, "--json", *options]) == code
    return json.loads(capsys.readouterr().out)


def stages(study: Path) -> set[str]:
    return {folder.name for folder in (study.parent / "stages").iterdir()}


def test_a_search_and_its_end(capsys, recipe, searched):
    study, found = searched
    assert found["trained"] == 2 and found["steps"] == [1, 4] and found["held_back"] == 1
    kinds = [name.rpartition("-")[0] for name in stages(study)]
    assert (kinds.count("teacher"), kinds.count("targets"), kinds.count("baseline")) == (2, 1, 0)
    points = found["points"]
    assert points and all(p["ms"] <= 5 and p["band_ms"][0] < p["ms"] < p["band_ms"][1] for p in points)
    assert points[0]["number"] == found["best"] and points[0]["score"] == max(p["score"] for p in points)

    # a point is a run on all of train, with the recipe's own split
    own = next(p for p in points if p["own"])
    best = next(p for p in points if p["front"])
    assert own["values"]["student.width"] == "16" and own["values"]["student.shape.blocks"] == "[1, 2]"
    run = Run.open(Path(best["run"]))
    written = [f"{key}={text}" for key, text in best["values"].items() if key != "precision"]
    assert dump(run.recipe) == dump(load_recipe(Recipe, Path(recipe), written)) and run.recipe.data.fold is None

    page = Path(found["page"]).read_text()
    assert "orin" in page.lower() and str(best["run"]) in page and not re.search(r"https?://(?!www\.w3\.org)", page)

    before = stages(study)
    again = search(capsys, recipe, study, *OPTIONS)
    assert again == found and stages(study) == before  # nothing is trained twice


def test_on_this_cpu_in_int8_the_score_is_of_the_file_that_was_timed(capsys, recipe, tmp_path, monkeypatch):
    real = command.export

    def export(subject, request):
        made = real(subject, request)
        for step, scores in made["metrics"].items():  # told apart, as scores of so few steps may not be
            scores["semantic"]["miou"] = {"module": 0.75, "fp32": 0.5, "int8": 0.25}[step]
        return made

    monkeypatch.setattr(command, "export", export)
    few = ["--vary", "precision=int8", "--vary", "student.width=8", "--vary", "export.upsampling=nearest"]
    options = ["--cpu", "--trials", "1", "--vary", "student.input_scale=1.0", *few]
    found = search(capsys, recipe, tmp_path / "s", *options, budget="1s")
    (point,) = found["points"]
    assert point["values"]["precision"] == "int8" and 0 < point["ms"] < 1000 and point["band_ms"] is None
    assert point["score"] == 0.25 and point["front"] and found["left"] == {}
    # the table for people, of what is done already
    assert main(["search", recipe, "--study", str(tmp_path / "s"), "--budget", "1s", *options]) == 0
    shown = capsys.readouterr().out
    assert "front of tiny: measured on" in shown and Path(point["run"]).name in shown


def test_a_candidate_whose_export_fails_its_gates_is_left_with_the_reason(capsys, recipe, tmp_path, monkeypatch):
    few = ["--vary", "precision=int8", "--vary", "student.width=8", "--vary", "student.input_scale=1.0"]
    options = ["--cpu", "--trials", "1", *few, "--vary", "export.upsampling=nearest"]
    monkeypatch.setattr(command, "export", lambda *_: {"holds": False, "failed": "int8 costs semantic 9 points"})
    found = search(capsys, recipe, tmp_path / "s", *options, budget="1s")
    assert found["points"] == [] and found["left"] == {"no int8 file: int8 costs semantic 9 points": 1}


@pytest.mark.parametrize(
    ("options", "budget", "said"),
    [
        ([*OPTIONS, "--set", "teacher.train.steps=5"], "5ms", "is of another recipe"),
        (OPTIONS, "4ms", "is of another budget: 5 ms, and not 4 ms"),
        ([*OPTIONS, "--vary", "student.width=8,16"], "5ms", "is of another space"),
        (["--board", "agx-orin-64gb", *OPTIONS[2:]], "5ms", "is of another latency"),
    ],
)
def test_a_study_of_something_else_is_refused(capsys, recipe, searched, options, budget, said):
    assert said in search(capsys, recipe, searched[0], *options, budget=budget, code=2)["error"]["what"]


def test_a_budget_that_nothing_meets(capsys, recipe, tmp_path):
    error = search(capsys, recipe, tmp_path / "s", *OPTIONS, budget="0.0001ms", code=2)["error"]
    assert re.match(r"nothing meets 0.0001 ms: the smallest candidate takes 0\.\d+ ms \(estimated for", error["what"])
    assert not list((tmp_path / "stages").glob("teacher-*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no device to time the student on was given"),
        (["--cpu", "--board", "orin-nano-8gb"], "--cpu and --board contradict each other"),
        (["--board", "orin-nano-8gb", "--threads", "1"], "--threads is for --cpu"),
        (["--board", "nonsense"], "unknown board 'nonsense'"),
        (["--on", "nowhere"], "there is no board called 'nowhere'"),
        ([*OPTIONS, "--vary", "teacher.train.steps=1,2"], "all candidates share data and teachers"),
        ([*OPTIONS, "--vary", "distill.train.steps=1:9"], "the rungs of the search set the steps"),
        ([*OPTIONS, "--vary", "student.width"], "is not KEY=VALUES"),
        ([*OPTIONS, "--vary", "distill.supervised=1:0"], "has bounds that are no range"),
        ([*OPTIONS, "--vary", "student.width=[8"], "has values that are no list"),
        ([*OPTIONS, "--vary", "precision=fp32"], "the precision fp32 is not measured here"),
        ([*OPTIONS, "--vary", "distill.superviced=0,1"], "superviced"),
    ],
)
def test_what_is_asked_wrong_is_said_in_one_sentence(capsys, monkeypatch, recipe, tmp_path, options, said):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert said in search(capsys, recipe, tmp_path / "s", *options, code=2)["error"]["what"]


@pytest.mark.parametrize("text", ["fast", "0ms", "-1ms", "5 minutes", ""])
def test_a_budget_that_is_none(capsys, recipe, tmp_path, text):
    error = search(capsys, recipe, tmp_path / "s", *OPTIONS, budget=text, code=2)["error"]
    assert error["what"] == f"'{text}' is no budget"


def test_files_are_timed_untrained_and_int8_needs_less_memory(recipe, tmp_path):
    from edgekit.search.latency import OnCpu, cost_of

    wider = load_recipe(Recipe, Path(recipe), ["student.width=32"])
    bench = Workbench.open(wider, Path(recipe).parent, tmp_path, tmp_path / "log.jsonl")
    student = untrained_student(bench)
    int8, fp32 = (cost_of(OnCpu(1), bench, student, precision) for precision in OnCpu.precisions)
    assert int8.ms > 0 and fp32.ms > 0 and int8.band_ms is fp32.band_ms is None
    assert int8.parameters == fp32.parameters == parameter_count(student)
    weights = 4 * sum(p.numel() for name, p in student.named_parameters() if "conv1" not in name and "norm" not in name)
    assert weights < fp32.memory  # and the frame in float32, and the first map
    assert int8.memory < 0.6 * fp32.memory

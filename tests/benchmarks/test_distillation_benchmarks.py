"""The distillation benchmarks' own parts: units of work done once, and what the tables say."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.frames.images import write_png

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RECIPE = """\
name: tiny
data: {source: image_folder, root: photographs, class_names: [sky, grass], labelled: 0.5}
tasks: {semantic: {}}
teacher:
  modalities: [rgb, edges]
  members: [{family: repseg, width: 4}]
  train: &train {steps: 2, batch_size: 2, crop: [32, 48], warmup: 1, precision: fp32, workers: 1}
ensemble: {maskings: 2, scales: [1.0]}
student: {name: repseg, width: 16}
distill: {train: *train}
"""


@pytest.fixture
def comparison(benchmark_module, tmp_path, monkeypatch):
    """Of a tiny recipe on a few pictures."""
    variants = benchmark_module("variants")
    rng = np.random.default_rng(0)
    for number, split in enumerate(["train"] * 8 + ["val"] * 2):
        folder = tmp_path / "photographs" / split
        write_png(folder / "images" / f"f{number}.png", rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
        write_png(
            folder / "labels" / f"f{number}.png", np.repeat(np.uint8([[0], [1]]), 24, 0) + np.zeros((1, 64), "u1")
        )
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    monkeypatch.setattr(variants, "RECIPE", tmp_path / "tiny.yaml")
    return variants.Comparison(tmp_path / "runs", tmp_path / "photographs")


def done(comparison) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in comparison.root.glob("stages/*/done.json")}


ALL = ["single_all", "ensemble", "baseline", "student"]


def test_nothing_is_done_twice_and_variants_share_what_they_can(comparison):
    first = comparison.run(ALL)
    assert list(first.scores) == ALL and all(0 <= first.miou(row) <= 100 for row in ALL)
    before = done(comparison)
    assert sum(name.startswith("scores-") for name in before) == 4
    again = comparison.run(ALL)
    assert done(comparison) == before and again == first
    comparison.run(["ensemble", "student"], "distill.agreement=false")
    new = sorted(name.rpartition("-")[0] for name in done(comparison).keys() - before.keys())
    assert new == ["scores", "student"]
    comparison.run(["ensemble", "student"], "ensemble.maskings=1")
    new = sorted(name.rpartition("-")[0] for name in done(comparison).keys() - before.keys())
    assert new == ["scores", "scores", "scores", "student", "student", "targets"]
    assert {name: at for name, at in done(comparison).items() if name in before} == before


def test_scores_that_a_kill_left_out_are_made_up_for(comparison):
    first = comparison.run(ALL)
    before = done(comparison)
    (comparison.root / "stages" / next(n for n in before if n.startswith("scores-")) / "done.json").unlink()
    assert comparison.run(ALL) == first
    assert [n.rpartition("-")[0] for n, at in done(comparison).items() if at != before[n]] == ["scores"]


def test_spread(benchmark_module):
    variants = benchmark_module("variants")
    assert variants.spread([1.0, 2.0, 3.0]) == "2.00 ± 1.00" and variants.spread([4.5]) == "4.50"


def test_paired_differences_have_an_interval_of_students_t(benchmark_module):
    """t of two degrees of freedom at 97.5 % is 4.303 in every table; 4.303 · 1 / √3 = 2.48."""
    variants = benchmark_module("variants")
    assert variants.paired([1.0, 2.0, 3.0]) == "+2.00 points (-0.48 to +4.48 in 95 %, of 3 pairs)"
    assert variants.paired([-1.5]) == "-1.50 points, of one pair"


def test_the_goals_are_held_against_paired_differences(benchmark_module):
    real_images = benchmark_module("real_images")
    seeds = {
        0: {"single_all": 50.0, "ensemble": 60.0, "baseline": 50.0, "longer": 49.0, "student": 57.0},
        1: {"single_all": 52.0, "ensemble": 62.0, "baseline": 54.0, "longer": 51.0, "student": 59.0},
    }
    facts = {"parameters": 425_130, "teacher_parameters": 3_100_000, "members": 8, "longer": 3}
    text = real_images.markdown({"semantic_drone": (seeds, facts), "camvid": ({0: seeds[0]}, facts | {"members": 9})})
    assert "| ensemble | 61.00 ± 1.41 | 2 |" in text and "| student, distilled | 57.00 | 1 |" in text
    assert "- distilled over labels only, paired by seed: +6.00 points (-6.71 to +18.71 in 95 %, of 2 pairs)" in text
    assert "in the time of all the others, paired by seed: +8.00 points (+8.00 to +8.00 in 95 %, of 2 pairs)" in text
    assert "- holds: over the better of the two +6.00 points" in text and "3 times the steps" in text
    assert "- holds: ensemble 61.00 (goal 61)" in text and "- holds: student, distilled 58.00 (goal 57)" in text
    assert "at least as good with 2 of 2 seeds: +7.00, +5.00" in text and "seeds: +8.00, +8.00" in text
    assert "8 members" in text and "9 members" in text
    assert "- holds: distilled keeps 95.1% of the ensemble" in text
    worse = {0: {**seeds[0], "student": 54.9}}  # 5.9 over the longer training, and the goal is over the better one
    text = real_images.markdown({"camvid": (worse, facts)})
    assert text.count("**does not hold**") == 2 and "+4.90 points" in text and "keeps 91.5%" in text
    text = real_images.markdown({"camvid": ({0: {**seeds[0], "longer": 53.0}}, facts)})
    assert "- **does not hold**: over the better of the two +4.00 points" in text
    some = {0: {"baseline": 50.0, "student": 57.0}, 1: {"student": 59.0}}  # rows and seeds that were not measured
    text = real_images.markdown({"camvid": (some, facts)})
    assert (
        "labels only, paired by seed: +7.00 points, of one pair" in text
        and "goal +5" not in text
        and "ensemble |" not in text
    )
    text = real_images.markdown({"semantic_drone": ({0: {"baseline": 57.0, "student": 56.0}}, facts)})
    assert "at least as good with 0 of 1 seeds" in text and "does not hold**: student, distilled 56.00" in text
    assert "**does not hold**: over that one, the other was not run: -1.00 points (goal +5 over both)" in text


def test_figures_of_other_seeds_stay_until_the_recipe_changes(benchmark_module, comparison, tmp_path):
    from edgekit.recipe.load import load_recipe
    from edgekit.recipe.schema import Recipe

    real_images, file = benchmark_module("real_images"), tmp_path / "measured.json"
    recipe = lambda *changes: load_recipe(Recipe, tmp_path / "tiny.yaml", changes)  # noqa: E731
    facts, name = {"longer": 4, "members": 2}, "camvid"
    real_images.keep(name, recipe(), {1: {"student": 50.0}}, facts, file)
    before = real_images.earlier(name, recipe("seed=3", f"data.root={tmp_path}"), file)  # neither is the recipe's
    assert before["facts"] == facts and before["seeds"] == {1: {"student": 50.0}}
    real_images.keep(name, recipe(), {0: {"student": 49.0}, 1: {"ensemble": 60.0}}, facts, file)
    both = real_images.earlier(name, recipe(), file)["seeds"]
    assert both == {0: {"student": 49.0}, 1: {"student": 50.0, "ensemble": 60.0}} and list(both) == [0, 1]
    assert real_images.earlier("semantic_drone", recipe(), file)["seeds"] == {}
    assert real_images.earlier(name, recipe("distill.train.steps=3"), file)["seeds"] == {}


def test_labels_alone_get_the_time_of_all_the_others(benchmark_module, comparison, monkeypatch):
    real_images = benchmark_module("real_images")
    took = {"teachers": 5.0, "targets": 1.0, "baseline": 2.0, "student": 2.0}
    assert real_images.times_as_long(took) == 5 and real_images.times_as_long({**took, "teachers": 0.9}) == 3
    assert real_images.times_as_long({"teachers": 0.0, "baseline": 2.0}) == 1
    monkeypatch.setattr(real_images, "times_as_long", lambda seconds: 3 if set(seconds) == set(took) else None)
    measured, facts = real_images.measure(comparison, [0])
    assert set(measured[0]) == set(real_images.ROWS) and facts["longer"] == 3
    before = done(comparison)
    trained = [p.parent for p in comparison.root.glob("stages/baseline-*/done.json")]
    assert len(trained) == 2
    steps = [line for line in (comparison.root / "log.jsonl").read_text().splitlines() if "labels-only" in line]
    assert max(json.loads(line)["step"] for line in steps) == 6  # three times the recipe's two
    assert real_images.measure(comparison, [0])[0] == measured and done(comparison) == before
    some, facts = real_images.measure(comparison, [0], ["ensemble"], {"longer": 5, "members": 99})
    assert set(some[0]) == {"ensemble"} and facts["longer"] == 5 and facts["members"] == 4


def test_the_ablation_covers_what_it_is_for(benchmark_module):
    ablation = benchmark_module("ablation")
    sections = ablation.sections(ablation.MASKINGS)
    assert list(sections["Maskings of one network"]) == [f"N = {n}" for n in (1, 4, 8, 16, 30)]
    assert len(sections["Masked ensemble × networks × flips"]) == 8
    assert len(set(sections["Masked ensemble × networks × flips"].values())) == 8
    assert set(sections["Losses, alone and together"]) >= {"soft", "hard", "cwd", "dist", "all four"}
    assert set(sections["Agreement weighting"]) == {"on", "off"}
    from edgekit.recipe.load import load_recipe
    from edgekit.recipe.schema import Recipe
    from edgekit.teachers.masking import distinct_maskings

    for rows in sections.values():
        for changes in rows.values():
            recipe = load_recipe(
                Recipe, BENCHMARKS.parent / "recipes/semantic_drone.yaml", [*ablation.COMMON, *changes]
            )
            asked = recipe.ensemble.maskings
            found = distinct_maskings(asked, recipe.teacher.modalities, recipe.teacher.masking, recipe.ensemble.seed)
            assert len(found) == asked and recipe.data.fold.of == 4


def test_the_recipes_of_the_real_images_say_data_and_task_alone(benchmark_module):
    """Quick or not: what a recipe refuses would be told hours after the start."""
    from edgekit.recipe.load import load_recipe
    from edgekit.recipe.schema import Recipe

    real_images, variants = benchmark_module("real_images"), benchmark_module("variants")
    for name in real_images.RECIPES:
        file = BENCHMARKS.parent / f"recipes/{name}.yaml"
        assert load_recipe(Recipe, file, list(variants.QUICK)).student.name == "lite"
        said = load_recipe(Recipe, file).model_dump(exclude_unset=True)
        assert set(said) == {"name", "data", "tasks", "require"} and said["tasks"] == {"semantic": {}}


@pytest.mark.skipif(importlib.util.find_spec("torchdistill") is not None, reason="torchdistill is installed here")
def test_without_torchdistill_the_throughput_says_so(benchmark_module):
    throughput = benchmark_module("distill_throughput")
    get_box, note = throughput.import_torchdistill()
    assert get_box is None and "torchdistill cannot be imported" in note
    rates = {"teacher": "t", "images_per_second": {"edgekit": 3.0}, "target_seconds_per_frame": 0.1}
    text = throughput.markdown([rates], note, 1, 3)
    assert "| not run | - |" in text and note in text and "Goal" not in text


@pytest.mark.parametrize("name", [pytest.param("training_cost", marks=pytest.mark.slow), "distill_throughput"])
def test_what_steps_cost_is_measured(benchmark_module, monkeypatch, capsys, name):
    if name == "training_cost" and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    module = benchmark_module(name)
    monkeypatch.setattr(module, "write_section", lambda *told: pytest.fail("a quick run writes nothing"))
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--quick", "--json"])
    module.main()
    told = json.loads(capsys.readouterr().out)
    if name == "training_cost":
        assert [row["what"].split()[0] for row in told] == ["teacher", "targets", "student"]
        assert all(row[side] > 0 for row in told for side in ("edgekit", "plain", "share"))
    else:
        rates = [entry["images_per_second"]["edgekit"] for entry in told["teachers"]]
        assert len(rates) == 2 and min(rates) > 0


def test_teachers_that_are_compared_see_frames_as_the_recipe_shows_them(benchmark_module, comparison):
    """One pass is one at the recipe's own first scale, which the teacher was trained with."""
    module = benchmark_module("what_teaches")
    comparison.common = ("ensemble.scales=[0.75, 1.0]", "ensemble.maskings=1", "data.labelled=all")
    found = module.measure(comparison, [0], [0])
    assert list(found) == list(module.TEACHERS) and all(len(v["student"]) == 1 for v in found.values())
    kept = [json.loads(p.read_text()) for p in comparison.root.glob("stages/targets-*/done.json")]
    assert len(kept) == 5
    assert "over one pass" in module.markdown({"semantic_drone": found}, 2, [0], [0])

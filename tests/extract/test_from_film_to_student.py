"""From two films over three toy experts and every kind of derived map to an exported student, by one command each."""

from __future__ import annotations

import json

import pytest
import yaml

from edgekit.cli.main import main

RECIPE = """
name: flights
data:
  source: dronescapes
  root: out
  labels: [semantic_output, depth]
tasks: {semantic_output: {}, depth: {}}
teacher:
  modalities: [rgb, hsv, flow]
  members: [{family: repseg, width: 4}]
  external: [{name: seg_a, kind: expert, outputs: {semantic_output: {output: seg_a}}, votes: 2}]
  train: &train {steps: 2, batch_size: 2, crop: [32, 32], warmup: 1, precision: fp32, workers: 1}
ensemble: {maskings: 1, flips: false}
student: {name: repseg, input_scale: 1.0}
distill: {train: *train}
evaluate: {pictures: 1}
require: {student_beats_baseline: false}
"""


@pytest.mark.slow
def test_a_film_becomes_an_exported_student(work, capsys):
    def edgekit(*args):
        capsys.readouterr()
        assert main([*map(str, args), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    work.sets = "{train_set: [a.mp4], validation_set: [b.mp4]}"
    made = edgekit("data", "extract", work.pipeline, "--out", work.out)
    assert {task["written"] for task in made["tasks"].values()} == {8, 6}
    recipe = work.base / "flights.yaml"
    recipe.write_text(RECIPE)
    run = edgekit("distill", recipe, "--out", work.base / "runs")
    scores = json.dumps(run)
    assert "miou" in scores and "absrel" in scores
    student = next((work.base / "runs").glob("flights-*/student.pt")).parent
    bundle = work.base / "bundle"
    edgekit("export", student, "--precision", "fp32", "--no-metrics", "--out", bundle)

    # and the bundle's network is an expert of the next pipeline
    graph = next(bundle.rglob("*.onnx"))
    classes = yaml.safe_load(work.tasks)["seg_a"]["output"]["task"]["classes"]
    work.tasks = f"""
    student:
      expert: {{kind: onnx, file: "{graph}", inputs: [{{layout: channels_last, size: [48, 96]}}]}}
      output: {{output: semantic_output_classes, form: indices, task: {{kind: semantic, classes: {list(classes)}}}}}
    """
    again = edgekit("data", "extract", work.pipeline, "--out", work.base / "second")
    assert again["tasks"]["student"]["written"] == 8 and again["failed"] == []

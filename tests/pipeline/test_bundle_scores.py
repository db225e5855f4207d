"""Scoring a bundle: the numbers are those of its files on the recipe's frames."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.frames.images import write_png
from edgekit.pipeline.bundle_scores import evaluate_bundle, open_bench

RECIPE = """\
name: colours
data: {source: image_folder, root: pictures, class_names: [red, green, blue]}
tasks: {semantic: {}}
teacher: {modalities: [rgb]}
evaluate: {split: val}
"""


@pytest.fixture
def recipe(tmp_path) -> Path:
    """Frames of one colour per half; of the blue halves' labels a quarter says green."""
    for split in ("train", "val"):
        for i in range(2):
            rgb = np.zeros((64, 96, 3), np.uint8)
            label = np.zeros((64, 96), np.uint8)
            rgb[:, :48, 0] = 255
            rgb[:, 48:, 2] = 255
            label[:, 48:] = 2
            label[:32, 72:] = 1
            write_png(tmp_path / "pictures" / split / "images" / f"{i}.png", rgb)
            write_png(tmp_path / "pictures" / split / "labels" / f"{i}.png", label)
    (tmp_path / "colours.yaml").write_text(RECIPE)
    return tmp_path / "colours.yaml"


def test_scores_are_those_of_the_files(tiny_bundle, recipe, tmp_path):
    bundle = open_bundle(tiny_bundle)
    result = evaluate_bundle(bundle, open_bench(bundle, recipe, tmp_path / "runs"))
    assert list(result["scores"]) == ["fp32, onnxruntime lane by onnxruntime", "int8, onnxruntime lane by onnxruntime"]
    for scores in result["scores"].values():
        found = scores["semantic"]
        # half the pixels are red and right; of the blue half a quarter is labelled green
        assert found["pixel_accuracy"] == pytest.approx(7 / 8)
        assert found["iou"] == {"red": 1.0, "green": 0.0, "blue": pytest.approx(3 / 4)}
    assert result["not_in_the_data"] == ["depth", "normals"] and result["frames"] == 2 and result["split"] == "val"
    assert [r["precision"] for r in result["ran"].values()] == ["fp32", "int8"]


def test_the_command(tiny_bundle, recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["evaluate", str(tiny_bundle), "--recipe", str(recipe)]
    assert main([*arguments, "--split", "train"]) == 0
    out = capsys.readouterr().out
    assert "fp32, onnxruntime lane" in out and "58.33" in out and "not scored: depth, normals" in out
    assert main([*arguments, "--precision", "fp32", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["scores"]) == 1
    assert main(["evaluate", str(tiny_bundle)]) == 2
    assert "names no run" in capsys.readouterr().err
    text = (tiny_bundle / "manifest.json").read_text()
    told = shutil.copytree(tiny_bundle, tmp_path / "told")
    (told / "manifest.json").write_text(text.replace('"provenance": {', '"provenance": {"run": "tiny-123",'))
    assert main(["evaluate", str(told)]) == 2
    assert "is not here (runs/tiny-123)" in capsys.readouterr().err
    assert main([*arguments, "--split", "nope"]) == 2
    assert "no split 'nope'" in capsys.readouterr().err
    for words in ([str(tiny_bundle), "--recipe", "nosuch.yaml"], ["nowhere"]):
        assert main(["evaluate", *words]) == 2
        said = capsys.readouterr().err
        assert "there is no" in said and "fix:" in said
    assert main(["evaluate", str(tmp_path), "--precision", "int8"]) == 2
    assert "--precision applies to bundles only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[red, green, blue]", "[red, blue, green]", "has the classes red, green, blue in the bundle"),
        ("[red, green, blue]", "[a, b, c]", "has the classes"),
    ],
)
def test_another_recipes_data_is_refused(tiny_bundle, recipe, tmp_path, old, new, reason):
    recipe.write_text(RECIPE.replace(old, new))
    bundle = open_bundle(tiny_bundle)
    with pytest.raises(EdgekitError, match=reason):
        evaluate_bundle(bundle, open_bench(bundle, recipe, tmp_path / "runs"))

"""Labels that nothing can be learned from end `recipe check` and `distill` before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.frames.images import read_label, write_png


@pytest.fixture
def copy(photographs, tmp_path, draw):
    """A recipe for photographs whose labels ``change`` has changed."""

    def copy(change, recipe: str | None = None) -> Path:
        for i, split in enumerate(["train"] * 4 + ["val"]):
            draw(tmp_path / "photographs" / split, f"f{i}", i)
            file = tmp_path / "photographs" / split / "labels" / f"f{i}.png"
            write_png(file, change(read_label(file)))
        (tmp_path / "tiny.yaml").write_text(recipe or (photographs / "tiny.yaml").read_text())
        return tmp_path / "tiny.yaml"

    return copy


@pytest.mark.parametrize("command", ["recipe check", "distill"])
def test_masks_of_0_and_255(copy, tell, tmp_path, command):
    recipe = copy(lambda label: np.where(label == 1, 255, 0).astype(np.uint8))
    done = tell(*command.split(), recipe, "--set", "data.class_names=[background, roof]")
    assert done.code == 2 and "are 'background' or ignored" in done.found["error"]["what"]
    assert "class_dict" in done.found["error"]["fix"] and not list(tmp_path.glob("**/network.pt"))


def test_labels_that_are_ignored_everywhere(copy, tell):
    done = tell("recipe", "check", copy(lambda label: np.full_like(label, 255)))
    assert done.code == 2 and "the labels of 'semantic' in train hold no valid value" in done.found["error"]["what"]


@pytest.mark.parametrize(("scale", "code"), [(1000, 0), (1, 2)])
def test_depth_in_millimetres(tmp_path, tell, scale, code):
    for i, split in enumerate(["train"] * 4 + ["val"]):
        folder = tmp_path / "films" / split
        for part in ("images", "depth"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        stored = np.random.default_rng(i).integers(5_000, 60_000, (64, 96)).astype(np.uint16)
        Image.fromarray(stored).save(folder / "depth" / f"{i}.png")
        write_png(folder / "images" / f"{i}.png", np.full((64, 96, 3), i, np.uint8))
    recipe = tmp_path / "depth.yaml"
    data = f"{{source: depth_folder, root: films, scale: {scale}, range: [1, 300]}}"
    recipe.write_text(f"name: depth\ndata: {data}\ntasks: {{depth: {{}}}}\n")
    done = tell("recipe", "check", recipe)
    assert done.code == code, done.found
    if code:
        error = done.found["error"]
        assert "beyond the upper end of their range, 300 m" in error["what"] and "millimetres" in error["fix"]


def test_what_every_label_has_passes(copy, tell):
    done = tell("recipe", "check", copy(lambda label: label))
    assert done.code == 0 and done.found["maskings"] is None
    more = tell("recipe", "check", copy(lambda label: label), "--set", "ensemble.maskings=5")
    assert more.found["maskings"] == "ensemble.maskings asks for 5, and of rgb, edges there are 3 to be learned"
    assert more.found["maskings"] in " ".join(more.err.split())

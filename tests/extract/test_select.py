"""`data select` on an extraction: what the experts disagree on comes first, and frames of films get pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.extract.files import write_map
from edgekit.frames.images import read_rgb
from edgekit.pipeline.selection import candidates_of


def test_disagreement_and_rare_classes_of_experts_decide(work, stored, capsys):
    work.run()
    write_map(work.out / "train_set/unsure/a_000003.npz", np.ones((48, 96, 1), np.float16), "0" * 16)
    (work.out / "train_set/seg_a/a_000002.npz").unlink()  # one that is missing says nothing
    out = work.base / "chosen.txt"
    command = ["data", "select", str(work.out), "--count", "1", "--out", str(out), "--images", str(work.base / "png")]
    assert main([*command, "--weights", "diversity=0,quality=0", "--json"]) == 0
    chosen = json.loads(capsys.readouterr().out)["chosen"]
    assert [c["frame"] for c in chosen] == ["a_000003"] == out.read_text().split()
    assert "predictions disagree" in chosen[0]["why"]
    np.testing.assert_array_equal(
        read_rgb(work.base / "png/a_000003.png"), stored(work.out, "train_set", "rgb", "a_000003")
    )


def test_predictions_are_those_of_the_files(work, stored):
    work.run()
    candidates = {c.name: c for c in candidates_of(work.out)}
    said = candidates["a_000001"].predicted()
    assert said.disagreement == [float(stored(work.out, "train_set", "unsure", "a_000001").astype(np.float32).mean())]
    names = ["seg_a", "seg_b", "two", "semantic_output"]
    for name, probabilities in zip(names, said.classes, strict=True):
        indices = stored(work.out, "train_set", name, "a_000001")[::4, ::4]
        np.testing.assert_array_equal(probabilities.argmax(axis=-1), indices)
        assert set(np.unique(probabilities)) <= {0, 1}
    # the frame's features do not depend on a map that is gone, but for what it said
    (work.out / "train_set/seg_a/a_000001.npz").unlink()
    assert np.ptp(candidates["a_000001"].predicted().classes[0]) == 0


def test_films_that_are_scored_on_are_not_chosen_from(work):
    work.run()
    assert {c.scene for c in candidates_of(work.out)} == {"a", "b"}
    for name in ("validation_set", "test_set", "test_set_annotated_only"):
        work.sets = f"{{train_set: [a.mp4], {name}: [b.mp4]}}"
        work.run()
        assert {c.scene for c in candidates_of(work.out)} == {"a"}
    work.sets = "{validation_set: [a.mp4], test_set: [b.mp4]}"
    work.run()
    with pytest.raises(EdgekitError, match="scored on, and not trained on: test_set, validation_set"):
        candidates_of(work.out)

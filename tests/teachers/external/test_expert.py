"""An expert of the data as a member of its own: its map, encoded by hand, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from edgekit.data.frameset import FrameSet
from edgekit.errors import EdgekitError
from edgekit.tasks import Task
from edgekit.teachers.ensemble import Ensemble, ExternalMember
from edgekit.teachers.external.config import ExternalConfig
from tests.teachers.external.conftest import CLASSES, Frames

EXPERTS = {
    "far": Task("far", "depth", range=(1.0, 100.0), unit="m"),
    "told": Task("told", "semantic", classes=("sky", "lake", "land")),
    "up": Task("up", "normals", range=(-1.0, 1.0)),
    "tops": Task("tops", "binary"),
}


@pytest.fixture
def maps(rgb) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    up = rng.normal(size=(6, 8, 3)).astype(np.float32)
    return {
        "rgb": rgb,
        "far": rng.uniform(1, 100, (6, 8)).astype(np.float32),
        "told": rng.integers(0, 3, (6, 8)).astype(np.uint8),
        "up": up / np.linalg.norm(up, axis=-1, keepdims=True),
        "tops": rng.integers(0, 2, (6, 8)).astype(np.uint8),
        "depth": np.full((6, 8), 7.0, np.float32),
    }


@pytest.fixture
def frames(maps, rgb) -> FrameSet:
    source = Frames({"a/0": maps, "a/1": {"rgb": rgb}})
    source.tasks |= EXPERTS
    return FrameSet(source)


def test_experts_say_what_their_maps_say(open_teacher, ask, maps):
    outputs = {
        "depth": {"output": "far"},
        "semantic": {"output": "told", "merge": {"water": ["lake"], "land": ["land"], "sky": ["sky"]}},
        "normals": {"output": "up"},
        "roof": {"output": "tops"},
    }
    said = ask(open_teacher(kind="expert", outputs=outputs))
    np.testing.assert_allclose(said["depth"][0], np.log(maps["far"].astype(float)) / np.log(100), atol=1e-5)
    ours = [CLASSES.index(name) for name in ("sky", "water", "land")]  # told's own order
    assert np.array_equal(said["semantic"].argmax(0), np.array(ours)[maps["told"]])
    assert np.array_equal(said["semantic"].max(0), np.ones((6, 8)))
    np.testing.assert_allclose(said["normals"], maps["up"].transpose(2, 0, 1), atol=1e-6)
    assert np.array_equal(said["roof"][0], maps["tops"])


def test_votes_weigh_an_expert_among_the_others(open_teacher, frames, maps):
    expert = open_teacher(kind="expert", votes=3, outputs={"depth": {"output": "far"}})
    frame = frames.frames("train")[0]
    word = expert.answer(frames, frame, (6, 8))["depth"]
    other = ExternalMember(lambda frame, size: {"depth": 0.5 * word})
    ensemble = Ensemble(
        [],
        [],
        tasks=[frames.tasks["depth"]],
        others=[other, ExternalMember(lambda f, s: expert.answer(frames, f, s), 3)],
    )
    found = ensemble.predict({}, (6, 8), frame)["depth"]
    np.testing.assert_allclose(found.soft.numpy(), (0.5 + 3) / 4 * word.numpy(), atol=1e-6)
    spread = np.sqrt((0.875 - 0.5) ** 2 / 4 + 3 * (1 - 0.875) ** 2 / 4)  # of 0.5, 1, 1, 1
    np.testing.assert_allclose(found.disagreement.numpy(), 2 * spread * word[0].numpy(), atol=1e-6)


def test_a_frame_without_the_expert(open_teacher, ask):
    outputs = {"depth": {"output": "far"}}
    with pytest.raises(EdgekitError, match="'a/1' has no 'far'"):
        ask(open_teacher(kind="expert", outputs=outputs), place=1)
    assert ask(open_teacher(kind="expert", outputs=outputs, missing="skip"), place=1) == {}


@pytest.mark.parametrize(
    ("outputs", "what", "fix"),
    [
        ({"depth": {"output": "depth"}}, "it is the label", "far"),
        ({"depth": {}}, "does not name", "far"),
        ({"depth": {"output": "fat"}}, "no 'fat'", "far"),
        ({"depth": {"output": "near"}}, "'near' is depth, and 'depth' is depth in m", "far"),
        ({"depth": {"output": "up"}}, "'up' is normals", "far"),
        ({"deep": {"output": "far"}}, "'deep' is no task", "depth"),
        ({"semantic": {"output": "told"}}, "lake", "merge"),
    ],
)
def test_an_expert_that_does_not_fit(open_teacher, outputs, what, fix):
    with pytest.raises(EdgekitError) as caught:
        open_teacher(kind="expert", outputs=outputs)
    assert what in caught.value.what and fix in caught.value.fix and "teacher.external.0" in caught.value.where


def test_a_modality_that_the_data_has_is_no_new_modality():
    config = {"name": "e", "kind": "expert", "role": "modality", "outputs": {"depth": {"output": "far"}}}
    with pytest.raises(ValidationError, match="member"):
        TypeAdapter(ExternalConfig).validate_python(config)

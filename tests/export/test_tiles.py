"""A student in tiles against the same student on the whole frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.bundle.manifest import SCHEMA, Golden, Manifest, StudentInfo
from edgekit.export.body import bodies
from edgekit.export.contract import contract
from edgekit.export.deploy import deploy
from edgekit.export.fuse import fused
from edgekit.export.outputs import Style
from edgekit.networks.receptive_field import receptive_field
from edgekit.pipeline.scorer import predictor
from edgekit.students.registry import STUDENTS
from edgekit.tasks import Task, kind_of

TASKS = (
    Task("semantic", "semantic", classes=("sky", "roof", "grass")),
    Task("depth", "depth", range=(1.0, 300.0), unit="m"),
    Task("normals", "normals"),
    Task("landing", "binary"),
)
TILE, WHOLE, FRAME = (144, 160), (272, 352), (265, 339)


@pytest.fixture(scope="module")
def predictors(student_of):
    """``predictors(upsampling)``: (tile, whole), of one student whose receptive field fits into a tile, at two sizes of
    its input."""
    with pytest.MonkeyPatch.context() as patch:
        spec = STUDENTS["repseg"]
        patch.setitem(STUDENTS._loaded, "repseg", replace(spec, shape={"width": 16, "blocks": (0, 0), "dilations": ()}))
        student = student_of(width=16, tasks=TASKS)
        info = StudentInfo("repseg", 16, 1, 1, 4, receptive_field(fused(student).network, 4))
        body = bodies(student, TILE, [17])[17]
    soft = {"semantic": ("classes", "confidence", "logits"), "landing": ("mask", "probabilities")}
    forms = {task.name: soft.get(task.name, kind_of(task).form_names[:1]) for task in TASKS}

    def predictors(upsampling: str):
        made = []
        for size in (TILE, WHOLE):
            pre = contract(student, size, "letterbox", FRAME)  # trained on frames that are larger than a tile
            golden = Golden("", 0, "recipe", {})
            manifest = Manifest(SCHEMA, "x", "0", "", "cpu", None, None, info, TASKS, pre, (), golden)
            how = {"style": Style(upsampling), "open_dimensions": frozenset({"size"})}
            graph = deploy(body, TASKS, forms, pre, 4, **how)
            made.append(predictor(graph, replace(manifest, upsampling=upsampling), 1))
        return made

    return predictors


@pytest.fixture(scope="module")
def students(predictors):
    return predictors("nearest")


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """Coarse and fine noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (17, 22, 3)).repeat(16, 0).repeat(16, 1)[: FRAME[0], : FRAME[1]]
    return (coarse + rng.integers(0, 56, (*FRAME, 3))).astype(np.uint8)


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_tiles_answer_as_the_whole_frame_does(predictors, frame, upsampling):
    tile, whole = predictors(upsampling)
    tiling = tile.tiling(FRAME)
    assert len(tiling.corners) > 6 and tiling.canvas == WHOLE
    tiled, expected = tile.infer(frame, tile=True), whole.infer(frame)
    assert set(tiled) == set(expected) and len(np.unique(expected["semantic"])) > 1
    for name, found in tiled.items():
        assert found.shape == expected[name].shape and found.dtype == expected[name].dtype
        if name == "semantic_confidence":
            inside = np.s_[:260, :332]  # behind which a graph's own interpolation sees the padding
            assert np.abs(found.astype(int) - expected[name])[inside].max() <= 1
        elif found.dtype == np.uint8:
            assert (found != expected[name]).mean() < 1e-3, name  # where two classes are equal to the last digits
        else:
            scale = np.abs(expected[name]).max()
            assert np.abs(found - expected[name]).max() < 1e-4 * scale, name


def test_less_overlap_shows_at_the_seams_and_nowhere_else(students, frame):
    tile, whole = students
    wrong = np.abs(tile.infer(frame, tile=16)["landing_probabilities"] - whole.infer(frame)["landing_probabilities"])
    wrong = wrong[..., 0]
    assert wrong.max() > 1e-3  # the equality above does not come by itself
    tiling = tile.tiling(FRAME, 16)
    reach = (tile.manifest.student.receptive_field - 4) // 2 + 4
    far = np.ones(FRAME, bool)
    for axis, side in ((0, TILE[0]), (1, TILE[1])):
        for start in {corner[axis] for corner in tiling.corners}:
            for seam in {start, start + side} - {0, tiling.canvas[axis]}:
                band = [slice(None), slice(None)]
                band[axis] = slice(max(0, seam - reach), seam + reach)
                far[tuple(band)] = False
    assert far.any() and wrong[far].max() < 1e-4


def test_a_frame_that_fits_is_one_tile(students, frame):
    tile, _ = students
    small = frame[:100, :120]
    assert len(tile.tiling((100, 120)).corners) == 1
    tiled, usual = tile.infer(small, tile=True), tile.infer(small)
    for name, found in tiled.items():
        assert np.allclose(found, usual[name], rtol=1e-4, atol=1e-5), name

"""Checkpoints of the published layout: the reference network's output, statistics, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.data.dronescapes.classes import CLASSES
from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
from edgekit.networks.safeuav import SafeUAV
from edgekit.tasks import Task
from edgekit.teachers.external.config import CheckpointConfig
from edgekit.teachers.external.phg_mae import read_checkpoint
from edgekit.teachers.external.teacher import ExternalTeacher

REFERENCE = Path(__file__).parents[4] / "shared" / "data" / "safeuav_reference.npz"
THREE = ["land", "water", "sky"]
RGB = {"rgb": [[0.0] * 3, [255.0] * 3, [95.498, 103.013, 85.048], [55.569, 58.133, 61.126]]}


def refusal(action, *args, **options) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        action(*args, **options)
    return caught.value


def reference_checkpoint(write_checkpoint) -> np.lib.npyio.NpzFile:
    if not REFERENCE.is_file():
        pytest.skip(f"the reference network's file is not beside the repository ({REFERENCE})")
    reference = np.load(REFERENCE, allow_pickle=False)
    weights = {k.removeprefix("param/"): torch.from_numpy(reference[k]) for k in reference.files if "/" in k}
    write_checkpoint({"rgb": [3, 37, 53], "semantic_output": [8, 37, 53]}, weights=weights, statistics=RGB)
    return reference


def test_the_reference_network_is_matched(write_checkpoint, tmp_path):
    reference = reference_checkpoint(write_checkpoint)
    shapes, statistics, network = read_checkpoint(tmp_path / "model.ckpt")
    assert shapes == {"rgb": (3, 37, 53), "semantic_output": (8, 37, 53)} and set(statistics) == {"rgb"}
    with torch.no_grad():
        found = network.eval()(torch.from_numpy(reference["input"])).numpy()
    np.testing.assert_allclose(found, reference["output"], atol=1e-5)


class Whole:
    """One frame that gives the reference's input back, once it is standardised with the checkpoint's statistics."""

    sequential = False

    def __init__(self, reference):
        mean, std = (np.array(RGB["rgb"][i])[:, None, None] for i in (2, 3))
        x = reference["input"][0].astype(np.float64)
        # `features` carries what the reference put into the semantic slot; a modality has no statistics there
        self.maps = {
            "rgb": (x[:3] * std + mean).transpose(1, 2, 0).astype(np.float32),
            "features": x[3:].transpose(1, 2, 0).astype(np.float32),
        }
        self.tasks = {
            "rgb": Task("rgb", "modality", channels=3),
            "features": Task("features", "modality", channels=8),
            "semantic": Task("semantic", "semantic", classes=CLASSES),
        }

    def read(self, frame, names):
        return {n: self.maps[n] for n in names if n in self.maps}


def test_the_whole_path_says_what_the_reference_says(write_checkpoint, tmp_path):
    reference = reference_checkpoint(write_checkpoint)
    frames = FrameSet(Whole(reference))
    config = CheckpointConfig(
        name="published",
        kind="phg_mae",
        file="model.ckpt",
        inputs={"rgb": "rgb", "semantic_output": "features"},
        outputs={"semantic": {"output": "semantic_output"}},
    )
    teacher = ExternalTeacher(config, tmp_path, frames.tasks, "teacher.external.0")
    frame = FrameInfo("f", "s", 0, "train", True)
    raw = teacher.model.raw(frame, frames.source.maps, (37, 53))["semantic"]
    np.testing.assert_allclose(raw.numpy(), reference["output"][:, 3:], atol=1e-5)
    logits = reference["output"][0, 3:].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(0)
    np.testing.assert_allclose(teacher.answer(frames, frame, None)["semantic"][0].numpy(), expected, atol=1e-5)


def test_hidden_tasks_are_zero_and_outputs_lose_their_statistics(write_checkpoint, open_teacher, ask, rgb):
    statistics = {
        **RGB,
        "depth_output": [[0.0], [300.0], [40.0], [25.0]],
        "camera_normals_output": [[0.0] * 3, [1.0] * 3, [0.5, 0.6, 0.4], [0.1, 0.2, 0.3]],
    }
    shapes = {"camera_normals_output": [3, 6, 8], "depth_output": [1, 6, 8], "rgb": [3, 6, 8]}
    content = write_checkpoint(shapes, statistics=statistics)
    teacher = open_teacher(
        kind="phg_mae",
        file="model.ckpt",
        outputs={"depth": {"output": "depth_output"}, "normals": {"output": "camera_normals_output"}},
    )
    network = SafeUAV(7, 7, width=4)
    network.load_state_dict(content["state_dict"])
    x = torch.zeros(1, 7, 6, 8)
    x[0, 4:] = torch.from_numpy(((rgb - np.array(RGB["rgb"][2])) / np.array(RGB["rgb"][3])).transpose(2, 0, 1))
    with torch.no_grad():
        y = network.eval()(x)[0].numpy().astype(np.float64)
    found = ask(teacher)
    metres = y[3] * 25 + 40
    np.testing.assert_allclose(found["depth"][0], np.log(np.clip(metres, 1, 100)) / np.log(100), atol=1e-5)
    vectors = 2 * (y[:3] * np.array([0.1, 0.2, 0.3])[:, None, None] + np.array([0.5, 0.6, 0.4])[:, None, None]) - 1
    np.testing.assert_allclose(found["normals"], vectors / np.linalg.norm(vectors, axis=0), atol=1e-4)


def test_its_output_can_be_a_map_that_the_data_does_not_have(write_checkpoint, open_teacher, ask, rgb):
    """As an expert of `data extract` and as a modality of a recipe."""
    statistics = {**RGB, "depth_output": [[0.0], [300.0], [40.0], [25.0]]}
    content = write_checkpoint({"rgb": [3, 6, 8], "depth_output": [1, 6, 8]}, statistics=statistics)
    map_ = {"kind": "depth", "range": [1.0, 100.0], "unit": "m"}
    outputs = {"far": {"output": "depth_output", "task": map_}}
    teacher = open_teacher(kind="phg_mae", file="model.ckpt", role="modality", outputs=outputs)
    network = SafeUAV(4, 4, width=4)
    network.load_state_dict(content["state_dict"])
    x = torch.zeros(1, 4, 6, 8)
    x[0, :3] = torch.from_numpy(((rgb - np.array(RGB["rgb"][2])) / np.array(RGB["rgb"][3])).transpose(2, 0, 1))
    with torch.no_grad():
        metres = network.eval()(x)[0, 3].numpy().astype(np.float64) * 25 + 40
    found = ask(teacher)["far"][0]
    np.testing.assert_allclose(found, np.log(np.clip(metres, 1, 100)) / np.log(100), atol=1e-5)


def test_a_binary_output_is_a_value_between_no_and_yes(write_checkpoint, open_teacher, ask, rgb):
    """As trained, by regression: no logit, and now and then a little outside."""
    shapes = {"rgb": [3, 6, 8], "roof": [1, 6, 8]}
    content = write_checkpoint(shapes, statistics={**RGB, "roof": [[0.0], [1.0], [0.5], [1.3]]})
    network = SafeUAV(4, 4, width=4)
    network.load_state_dict(content["state_dict"])
    x = torch.zeros(1, 4, 6, 8)
    x[0, :3] = torch.from_numpy(((rgb - np.array(RGB["rgb"][2])) / np.array(RGB["rgb"][3])).transpose(2, 0, 1))
    with torch.no_grad():
        y = network.eval()(x)[0, 3].numpy() * 1.3 + 0.5
    assert y.min() < 0 < y.max()
    found = ask(open_teacher(kind="phg_mae", file="model.ckpt", outputs={"roof": {}}))["roof"][0]
    np.testing.assert_allclose(found, np.clip(y, 0, 1), atol=1e-5)


def test_frames_are_brought_to_the_size_it_was_trained_at(write_checkpoint, open_teacher, ask):
    write_checkpoint({"rgb": [3, 10, 16], "semantic": [3, 10, 16]}, statistics=RGB)
    teacher = open_teacher(kind="phg_mae", file="model.ckpt", outputs={"semantic": {"classes": THREE}})
    assert ask(teacher)["semantic"].shape == (3, 6, 8)
    smaller = open_teacher(kind="phg_mae", file="model.ckpt", outputs={"semantic": {"classes": THREE}}, size=(5, 8))
    assert not np.allclose(ask(teacher)["semantic"], ask(smaller)["semantic"])
    assert teacher.key() != smaller.key()


def test_other_orders_of_tasks_are_refused(write_checkpoint, open_teacher):
    """As the published testing variant has them: channels cumulated by one order, and indexed by the other."""
    write_checkpoint({"depth": [1, 6, 8], "rgb": [3, 6, 8]}, task_names=["rgb", "depth"])
    error = refusal(open_teacher, kind="phg_mae", file="model.ckpt", outputs={"depth": {}})
    assert "depth, rgb against rgb, depth" in error.what and "place 0" in error.what
    write_checkpoint({"rgb": [3, 6, 8], "depth": [1, 6, 8]}, task_names=["rgb"])
    assert "place 1" in refusal(open_teacher, kind="phg_mae", file="model.ckpt", outputs={"depth": {}}).what


def test_what_is_no_such_checkpoint_is_told(write_checkpoint, open_teacher, tmp_path):
    shapes = {"rgb": [3, 6, 8], "semantic": [3, 6, 8]}
    path = tmp_path / "model.ckpt"
    given = {"kind": "phg_mae", "file": "model.ckpt", "outputs": {"semantic": {"classes": THREE}}}

    def damaged(change) -> EdgekitError:
        content = write_checkpoint(shapes, statistics=RGB)
        change(content)
        torch.save(content, path)
        error = refusal(open_teacher, **given)
        assert error.where == str(path)
        return error

    assert "hyper_parameters" in damaged(lambda c: c.pop("hyper_parameters")).what
    assert (
        'Missing key(s) in state_dict: "encoder.conv5.0.bias"'
        in damaged(lambda c: c["state_dict"].pop("encoder.conv5.0.bias")).what
    )
    assert (
        'Unexpected key(s) in state_dict: "extra"'
        in damaged(lambda c: c["state_dict"].update(extra=torch.ones(1))).what
    )
    assert (
        "size mismatch for decoder.bias"
        in damaged(lambda c: c["state_dict"].update({"decoder.bias": torch.ones(5)})).what
    )
    parameters = ("hyper_parameters", "cfg", "model", "parameters")

    def widen(content):
        for key in parameters:
            content = content[key]
        content["in_channels"] = 7

    assert "7 channels in" in damaged(widen).what
    assert (
        "statistics of 'rgb'"
        in damaged(lambda c: c["hyper_parameters"]["statistics"].update(rgb=[[0.0, 1.0]] * 4)).what
    )
    path.write_bytes(path.read_bytes()[:3000])
    assert "cannot be read" in refusal(open_teacher, **given).what


class Evil:
    def __reduce__(self):
        return (os.system, ("touch executed",))


def test_nothing_in_a_checkpoint_is_executed(write_checkpoint, open_teacher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = write_checkpoint({"rgb": [3, 6, 8], "semantic": [3, 6, 8]})
    torch.save({**content, "callbacks": Evil()}, tmp_path / "model.ckpt")
    refusal(open_teacher, kind="phg_mae", file="model.ckpt", outputs={"semantic": {"classes": THREE}})
    assert not (tmp_path / "executed").exists()


def test_the_published_eight_classes_are_mapped_by_name(write_checkpoint, open_teacher, ask):
    write_checkpoint({"rgb": [3, 6, 8], "semantic_output": [8, 6, 8]}, statistics=RGB)
    given = {"kind": "phg_mae", "file": "model.ckpt"}
    said = {"output": "semantic_output"}
    assert "'forest' matches no class of the task" in refusal(open_teacher, **given, outputs={"semantic": said}).what
    merge = {"land": ["land", "forest", "residential", "road", "hill"], "water": ["water"], "sky": ["sky"]}
    teacher = open_teacher(**given, outputs={"semantic": {**said, "merge": merge, "ignore": ["little-objects"]}})
    np.testing.assert_allclose(ask(teacher)["semantic"].sum(0), 1, rtol=1e-5)


def test_inputs_and_outputs_that_do_not_fit(write_checkpoint, open_teacher):
    write_checkpoint({"rgb": [3, 6, 8], "semantic_output": [3, 6, 8]}, statistics=RGB)

    def wrong(**changes) -> EdgekitError:
        given = {
            "kind": "phg_mae",
            "file": "model.ckpt",
            "outputs": {"semantic": {"output": "semantic_output", "classes": THREE}},
        }
        return refusal(open_teacher, **{**given, **changes})

    assert "no task 'thermal'" in wrong(inputs={"thermal": "rgb"}).what
    assert "no 'thermal'" in wrong(inputs={"rgb": "thermal"}).what
    assert "has 3 channels, and 'near' has 1" in wrong(inputs={"rgb": "near"}).what
    assert "no output 'semantic'" in wrong(outputs={"semantic": {"output": "semantic"}}).what

"""Whole runs with teachers trained elsewhere: as members of the ensemble, alone, and as modalities."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgekit.cli.main import main
from edgekit.distill.config import TargetsConfig
from edgekit.distill.targets import TargetStore
from edgekit.pipeline.run import Run
from edgekit.pipeline.stages import targets_stage


def tell(*args: object) -> SimpleNamespace:
    """Run `edgekit …`: exit code, the one document on stdout, and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*map(str, args), "--json"])
    return SimpleNamespace(code=code, found=json.loads(out.getvalue()), err=err.getvalue())


@pytest.fixture
def base(photographs, tmp_path) -> Path:
    """The photographs, predictions that are the labels, and a network that looks at the colour alone."""
    shutil.copytree(photographs, tmp_path / "base")
    base = tmp_path / "base"
    for label in base.glob("photographs/*/labels/*.png"):
        folder = base / "said" / "semantic"
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{label.stem}.npz", np.asarray(Image.open(label)))
    colours = np.array([[90, 140, 220], [190, 60, 50], [60, 150, 60]], np.float32) / 255
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [
            numpy_helper.from_array(20 * colours[:, :, None, None], "w"),
            numpy_helper.from_array(-10 * np.square(colours).sum(1), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(base / "colours.onnx"))
    return base


PREDICTIONS = (
    "{name: labels, kind: npz, folders: [said], outputs: {semantic: {form: indices, classes: [sky, roof, grass]}}}"
)
COLOURS = (
    "{name: colours, kind: onnx, file: colours.onnx, inputs: [{std: [255]}], "
    "outputs: {semantic: {classes: [sky, roof, grass]}}}"
)
ONE = "teacher.members=[{family: repseg, width: 4}]"


def test_members_from_elsewhere_join_the_ensemble(base, tmp_path):
    options = ("--out", tmp_path / "runs", "--no-baseline", "--set", ONE, "--set")
    done = tell("distill", base / "tiny.yaml", *options, f"teacher.external=[{PREDICTIONS}, {COLOURS}]")
    assert done.code == 0, done.err
    found = done.found
    assert found["members"] == 2 * 2 + 2  # two maskings, mirrored, and the two from elsewhere
    assert found["scores"]["external labels"]["semantic"]["miou"] == 1.0
    assert found["scores"]["external colours"]["semantic"]["miou"] > 0.8
    rows = [row[0] for row in found["cells"]["semantic"][1]]
    assert "labels, external" in rows and rows.index("labels, external") < rows.index("ensemble")
    table = Path(found["table"]).read_text()
    assert "| colours, external |" in table and "| ensemble, trained networks alone |" in table
    again = tell("distill", base / "tiny.yaml", *options, f"teacher.external=[{PREDICTIONS}, {COLOURS}]")
    assert again.found["scores"] == found["scores"] and "targets:" not in again.err
    without = tell("distill", base / "tiny.yaml", *options[:-1])
    assert without.found["scores"]["ensemble"] == found["scores"]["networks"] != found["scores"]["ensemble"]
    assert "networks" not in without.found["scores"]


def stored(run: Path) -> dict[str, np.ndarray]:
    """The targets of a finished run: frame → (h, w, C)."""
    opened = Run.open(run)
    bench = opened.bench()
    key = targets_stage(bench).key
    store = TargetStore(run.parent / "stages" / f"targets-{key}", bench.tasks, TargetsConfig(stride=1))
    return {f.name: store.read(f)["semantic"].soft for f in bench.frames.frames("train")}


def test_they_may_teach_alone_and_targets_follow_their_files(base, tmp_path):
    options = ("--out", tmp_path / "runs", "--no-baseline", "--set", "teacher.members=[]", "--set", "targets.stride=1")
    teachers = ("--set", f"teacher.external=[{PREDICTIONS}]")
    done = tell("distill", base / "tiny.yaml", *options, *teachers)
    assert done.code == 0, done.err
    assert (
        done.found["members"] == 1
        and done.found["teachers"] == []
        and not {"single_all", "networks"} & set(done.found["scores"])
    )
    said = stored(Path(done.found["run"]))
    for name, soft in said.items():
        label = np.load(base / "said" / "semantic" / f"{name}.npz")["arr_0"]
        assert np.array_equal(soft.argmax(-1), label) and soft.max(-1).min() > 0.99
    changed = base / "said" / "semantic" / "f0.npz"
    np.savez(changed, np.zeros((64, 96), np.uint8))
    os.utime(changed, ns=(7, 7))
    other = tell("distill", base / "tiny.yaml", *options, *teachers)
    assert other.code == 0 and len(list((tmp_path / "runs" / "stages").glob("targets-*"))) == 2
    assert (stored(Path(other.found["run"]))["f0"].argmax(-1) == 0).all()


def test_votes_weigh(base, tmp_path):
    options = ("--out", tmp_path / "runs", "--no-baseline", "--set", "teacher.members=[]", "--set", "targets.stride=1")
    never = PREDICTIONS.replace("name: labels", "name: sky, votes: 3").replace("[said]", "[wrong]")
    (base / "wrong" / "semantic").mkdir(parents=True)
    for path in (base / "said" / "semantic").glob("*.npz"):
        np.savez(base / "wrong" / "semantic" / path.name, np.zeros((64, 96), np.uint8))
    done = tell("distill", base / "tiny.yaml", *options, "--set", f"teacher.external=[{PREDICTIONS}, {never}]")
    assert done.code == 0 and done.found["members"] == 4
    soft = stored(Path(done.found["run"]))["f1"]
    label = np.load(base / "said" / "semantic" / "f1.npz")["arr_0"]
    np.testing.assert_allclose(soft[label == 1], np.broadcast_to([0.75, 0.25, 0], soft[label == 1].shape), atol=5e-3)


def test_a_modality_is_asked_for_once_and_seen_by_the_networks(base, tmp_path):
    task = "{kind: semantic, classes: [sky, roof, grass]}"
    expert = COLOURS.replace("outputs: {semantic: {", f"role: modality, outputs: {{expert: {{output: y, task: {task}, ")
    options = ("--out", tmp_path / "runs", "--no-baseline", "--set", ONE, "--set", f"teacher.external=[{expert}]")
    seen = ("--set", "teacher.modalities=[rgb, expert]")
    done = tell("distill", base / "tiny.yaml", *options, *seen)
    assert done.code == 0, done.err
    kept = sorted(Path(os.environ["EDGEKIT_CACHE"]).glob("external-colours-*/*/expert/*.npz"))
    assert len(kept) == 12  # every frame of every split
    label = np.load(base / "said" / "semantic" / "f3.npz")["arr_0"]
    (said,) = (np.load(p)["arr_0"] for p in kept if p.stem == "f3")
    assert said.dtype == np.uint8 and (said == label).mean() > 0.9
    checked = tell("recipe", "check", base / "tiny.yaml", *options[3:], *seen)
    assert set(checked.found["shares"]) == {"semantic", "expert"}
    damaged = bytearray(kept[0].read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    kept[0].write_bytes(damaged)  # of a right length, so that only reading tells
    again = tell("recipe", "check", base / "tiny.yaml", *options[3:], *seen)
    assert again.code == 0 and again.found == checked.found, again.found
    assert kept[0].read_bytes() != damaged
    taken = tell(
        "recipe", "check", base / "tiny.yaml", "--set", f"teacher.external=[{expert.replace('expert:', 'rgb:')}]"
    )
    assert taken.code == 2 and "already" in taken.found["error"]["what"]


CODE = """\
import torch

def make():
    return torch.nn.Conv2d(3, 3, 1)
"""


def test_code_needs_leave_from_the_command_line(base, tmp_path, monkeypatch):
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "my_teacher_module.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    monkeypatch.delenv("EDGEKIT_ALLOW_CODE", raising=False)
    outputs = "{semantic: {classes: [sky, roof, grass]}}"
    mine = f"{{name: mine, kind: torch, function: 'my_teacher_module:make', outputs: {outputs}}}"
    command = ("recipe", "check", base / "tiny.yaml", "--set", f"teacher.external=[{mine}]")
    refused = tell(*command)
    assert refused.code == 2 and "--allow-code" in refused.found["error"]["fix"]
    assert refused.found["error"]["where"] == "teacher.external.0.function"
    assert "my_teacher_module" not in sys.modules
    assert tell(*command, "--allow-code").code == 0 and "my_teacher_module" in sys.modules
    assert "EDGEKIT_ALLOW_CODE" not in os.environ, "leave ends with the command"
    assert tell(*command).code == 2


REFUSED = {
    "nobody teaches": (["teacher.members=[]"], "there is no teacher"),
    "a task nobody says": (
        ["teacher.members=[]", f"teacher.external=[{COLOURS}]", "tasks.depth={}"],
        "no 'depth'",
    ),
    "a class misspelt": (
        [f"teacher.external=[{COLOURS.replace('grass', 'gras')}]"],
        "no class 'grass'",
    ),
    "a task the recipe does not predict": (
        [f"teacher.external=[{COLOURS.replace('semantic', 'height')}]"],
        "does not predict 'height'",
    ),
    "a label as an input": (
        [f"teacher.external=[{COLOURS.replace('{std: [255]}', '{modalities: [semantic]}')}]"],
        "would see the label",
    ),
    "a file that is not there": ([f"teacher.external=[{COLOURS.replace('colours.onnx', 'x.onnx')}]"], "x.onnx"),
    "one name twice": ([f"teacher.external=[{COLOURS}, {COLOURS}]"], "a name of its own"),
    "an unknown kind": ([f"teacher.external=[{COLOURS.replace('kind: onnx', 'kind: onxn')}]"], "onxn"),
    "an unknown key": ([f"teacher.external=[{COLOURS.replace('std:', 'sdt:')}]"], "sdt"),
    "a modality that does not say what it is": (
        [f"teacher.external=[{COLOURS.replace('kind: onnx', 'kind: onnx, role: modality')}]"],
        "task says what",
    ),
    "a warm start from nothing": (
        ["teacher.members=[]", f"teacher.external=[{COLOURS}]", "distill.start=teacher"],
        "distill.start",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_recipe_is_refused_before_anything_trains(base, tmp_path, case):
    changes, what = REFUSED[case]
    sets = [a for change in changes for a in ("--set", change)]
    refused = tell("distill", base / "tiny.yaml", "--out", tmp_path / "runs", *sets)
    assert refused.code == 2 and what in refused.found["error"]["what"], refused.found
    assert "Traceback" not in refused.err and not list(tmp_path.rglob("*.pt"))

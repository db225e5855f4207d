"""A file that would run a command when unpickled, in every place that a run reads from: it never runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.data.scenes.store import read_frame
from edgekit.pipeline.stage import Stage
from edgekit.students.student import load_student
from edgekit.training.checkpoint import UNFINISHED


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, witness: Path):
        self.witness = str(witness)

    def __reduce__(self):
        return os.mkdir, (self.witness,)


@pytest.fixture
def evil(tmp_path):
    """An object to hide in files; afterwards nothing may have run, though the pickle itself works."""
    witness = tmp_path / "executed"
    yield Evil(witness)
    assert not witness.exists()
    pickle.loads(pickle.dumps(Evil(witness)))
    assert witness.exists()


def marked_whole(stage: Path, name: str) -> None:
    """Let a finished stage vouch for another file: who can change the file can change its checksum too."""
    done = json.loads((stage / "done.json").read_text())
    shown = Stage(stage.parent, *stage.name.rsplit("-", 1))
    shown.finish(done["result"], [name])


def as_npz(path: Path, arrays: dict) -> None:
    """An npz whose checksums are right, with pickled objects in it."""
    with zipfile.ZipFile(path, "w") as file:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=True)
            file.writestr(f"{name}.npy", member.getvalue())


@pytest.mark.parametrize("stage", ["teacher", "baseline", "student"])
def test_in_a_trained_network(copied, tell, evil, stage):
    path = sorted(copied.root.glob(f"stages/{stage}-*/network.pt"))[0]
    torch.save({"format": 2, "state": evil, "spec": evil}, path)
    marked_whole(path.parent, "network.pt")
    refused = tell("distill", copied.run)
    assert refused.code == 2 and refused.found["error"]["where"] == str(path)


def test_in_a_checkpoint_of_a_training_under_way(copied, tell, evil, first):
    (folder,) = copied.root.glob("stages/student-*")
    (folder / "done.json").unlink()
    torch.save({"step": 2, "network": evil}, folder / UNFINISHED)
    done = tell("distill", copied.run)
    assert done.code == 0 and "training starts from step 0" in done.err
    for name, value in load_student(first.run / "student.pt").state_dict().items():
        assert torch.equal(value, load_student(copied.run / "student.pt").state_dict()[name])


def test_in_the_runs_student(copied, tell, evil):
    torch.save(evil, copied.run / "student.pt")
    refused = tell("evaluate", copied.run)
    assert refused.code == 2 and refused.found["error"]["where"].endswith("student.pt")


def test_in_a_target(copied, tell, evil):
    path = next(copied.root.glob("stages/targets-*/train/f3.npz"))
    whole = path.read_bytes()
    with np.load(path) as file:
        as_npz(path, {name: np.array(evil, object) for name in file.files})
    done = tell("distill", copied.run)
    assert done.code == 0 and "damaged" in done.err and path.read_bytes() == whole


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_in_a_photograph(photographs, tell, evil, tmp_path, folder):
    shutil.copytree(photographs, tmp_path / "base")
    path = tmp_path / "base" / "photographs" / "train" / folder / "f0.png"
    path.write_bytes(pickle.dumps(evil))
    refused = tell("distill", tmp_path / "base" / "tiny.yaml", "--out", tmp_path / "runs")
    assert refused.code == 2 and refused.found["error"]["where"] == str(path)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir", "!!python/name:os.mkdir", "!!python/object/new:os.mkdir"]
)
@pytest.mark.parametrize("place", ["recipe", "set"])
def test_in_a_recipe(photographs, tell, evil, tmp_path, tag, place):
    call = f"{tag} [{evil.witness}]"
    text = (photographs / "tiny.yaml").read_text()
    (tmp_path / "evil.yaml").write_text(text.replace("seed: 0", f"seed: {call}") if place == "recipe" else text)
    change = () if place == "recipe" else ("--set", f"student.width={call}")
    refused = tell("distill", tmp_path / "evil.yaml", "--out", tmp_path / "runs", *change)
    assert refused.code == 2 and "Traceback" not in refused.err


def test_in_a_rendered_frame(evil, tmp_path):
    as_npz(tmp_path / "00000.npz", {"rgb": np.array(evil, object)})
    assert read_frame(tmp_path / "00000.npz", ["rgb"]) is None


def test_in_a_marker_or_description(copied, tell, evil):
    for path in (copied.run / "run.json", next(copied.root.glob("stages/statistics-*/done.json"))):
        path.write_bytes(pickle.dumps(evil))
    assert tell("evaluate", copied.run).code == 2
    assert tell("distill", copied.recipe, "--out", copied.root).code == 0

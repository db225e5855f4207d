"""The bundles that come with edgekit: they open by name, are whole and small, and pass their own check."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from edgekit.bundle.bundle import SHIPPED, open_bundle, shipped_bundles
from edgekit.cli.main import main
from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.source import Scenes
from edgekit.errors import EdgekitError
from edgekit.frames.images import write_png
from edgekit.runtime.load import load

SMALL = 1_000_000  # bytes of an INT8 file


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_there_is_one_for_drones():
    assert "uav" in shipped_bundles()


@pytest.mark.parametrize("name", shipped_bundles())
def test_each_opens_by_its_name_in_any_folder_and_passes_its_own_check(name, capsys):
    bundle = open_bundle(name)
    assert bundle.folder == SHIPPED / name and bundle.strays() == []
    (file,) = bundle.artifacts(precision="int8")
    assert len(bundle.read(file.file)) < SMALL
    assert main(["verify", name, "--json"]) == 0, capsys.readouterr().out
    assert bundle.manifest.provenance["licence"]


def test_a_photograph_right_after_installing(tmp_path, capsys):
    write_png(tmp_path / "photo.png", np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8))
    assert main(["run", "uav", "--input", "photo.png", "--output", "over.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 1 and (tmp_path / "over.png").is_file()


def test_it_knows_a_world_that_it_was_not_trained_on(tmp_path):
    config = ScenesConfig(seed=99, size=(192, 336), scenes={"train": 1, "val": 1, "test": 1}, frames_per_scene=2)
    source, right, count = Scenes(config, tmp_path, tmp_path), 0, 0
    with load("uav", precision="int8", outputs=["semantic"]) as predictor:
        for frame in source.frames("test"):
            maps = source.read(frame, ["rgb", "semantic"])
            right += (predictor.infer(maps["rgb"])["semantic"] == maps["semantic"]).sum()
            count += maps["semantic"].size
    assert right / count > 0.7


def test_what_lies_here_comes_first_and_a_path_is_no_name(tiny_bundle, tmp_path):
    with pytest.raises(EdgekitError, match="there is no bundle here") as caught:
        open_bundle("uva")
    assert "uav" in caught.value.fix
    with pytest.raises(EdgekitError, match="there is no bundle here"):
        open_bundle("bundles/uav")
    with pytest.raises(EdgekitError, match="there is no bundle here"):
        open_bundle("./uav")
    (tmp_path / "uav").mkdir()
    with pytest.raises(EdgekitError, match="hides the one of that name that comes with edgekit"):
        open_bundle("uav")
    (tmp_path / "uav").rmdir()
    shutil.copytree(tiny_bundle, tmp_path / "uav")
    assert open_bundle("uav").manifest.name == "tiny"


@pytest.mark.parametrize("command", [["lint", "uav", "--board", "orin-nano-8gb"], ["evaluate", "uav"]])
def test_other_commands_know_its_name_too(command, capsys):
    """None of them can do much with it: it has no file for TensorRT, and no data lie beside it."""
    assert main([*command, "--json"]) in (0, 2)
    said = json.loads(capsys.readouterr().out)
    assert "neither a student nor a file" not in str(said) and "no run or bundle here" not in str(said)
    assert "TensorRT" in str(said) or "--recipe" in str(said)

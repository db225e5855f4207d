"""The wheel in an empty environment: it holds the recipes, and its commands work in any folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgekit.frames.images import write_png

ROOT = Path(__file__).parents[1]
TINY = (
    *("data.scenes={train: 1, val: 1, test: 1}", "data.frames_per_scene={train: 4, val: 1, test: 1}"),
    *("data.labelled=0.5", "data.size=[48, 64]", "teacher.members=[{family: repseg, width: 32}]"),
    *(f"{part}.train.{key}" for part in ("teacher", "distill") for key in ("steps=2", "crop=[32, 48]", "workers=1")),
    *("ensemble.maskings=1", "evaluate.pictures=1", "require={student_beats_baseline: false}"),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("edgekit", "recipes"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    _pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder / "out"), str(folder))
    (made,) = (folder / "out").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def edgekit(wheel: Path, tmp_path_factory: pytest.TempPathFactory):
    """`edgekit ARGUMENTS` of an environment with the wheel alone; what edgekit needs comes from this environment."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    _pip("--python", str(python), "install", str(wheel))
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "needed.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    where = subprocess.check_output(
        [python, "-c", "import edgekit; print(edgekit.__file__)"], cwd=folder, env=environment, text=True
    )
    assert Path(where.strip()) == site / "edgekit" / "__init__.py"

    def call(*arguments: str, cwd: Path) -> str:
        done = subprocess.run([folder / "bin" / "edgekit", *arguments], cwd=cwd, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    return call


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--no-deps", "--no-index"]
    subprocess.run([*command, "--quiet"], check=True)


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel):
    def files(folder: Path) -> set[str]:
        return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"}

    expected = {f"edgekit/{name}" for name in files(ROOT / "edgekit")}
    expected |= {f"edgekit/recipes/{name}" for name in files(ROOT / "recipes")}
    assert {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("edgekit/")} == expected


@pytest.mark.slow
def test_recipes_by_name_in_any_folder(edgekit, tmp_path):
    names = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    assert [line.split()[0] for line in edgekit("recipe", "list", cwd=tmp_path).splitlines()] == names
    shown = edgekit("recipe", "show", "uav", cwd=tmp_path)
    assert "name: uav\n" in shown
    assert edgekit("recipe", "copy", "uav", cwd=tmp_path) == "uav.yaml\n"
    assert (tmp_path / "uav.yaml").read_bytes() == (ROOT / "recipes" / "uav.yaml").read_bytes()
    assert edgekit("recipe", "show", "uav.yaml", cwd=tmp_path) == shown


@pytest.mark.slow
def test_a_student_comes_with_it(edgekit, tmp_path):
    write_png(tmp_path / "photo.png", np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8))
    said = json.loads(edgekit("run", "uav", "--input", "photo.png", "--output", "over.png", "--json", cwd=tmp_path))
    assert said["frames"] == 1 and (tmp_path / "over.png").is_file()


@pytest.mark.slow
def test_a_recipe_trains_by_name(edgekit, tmp_path):
    changes = [part for change in TINY for part in ("--set", change)]
    result = json.loads(edgekit("distill", "uav", *changes, "--json", cwd=tmp_path))
    assert Path(tmp_path, result["student"]).is_file() and Path(result["run"]).parts[0] == "runs"
    assert set(result["scores"]) >= {"ensemble", "baseline", "student"}

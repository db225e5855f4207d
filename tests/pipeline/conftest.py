"""A tiny recipe on tiny pictures. One thread: runs are compared bit by bit, and small networks gain nothing by more."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edgekit.cli.main import main
from edgekit.frames.images import write_png


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


RECIPE = """\
name: tiny
data:
  source: image_folder
  root: photographs
  class_names: [sky, roof, grass]
  labelled: 0.5
tasks:
  semantic: {class_balance: 0.0}
teacher:
  modalities: [rgb, edges]
  members:
    - {family: repseg, width: 4, seed: 0}
    - {family: repseg, width: 4, seed: 1}
  train: &train
    {steps: 4, batch_size: 2, crop: [32, 48], warmup: 1, precision: fp32, workers: 1, augment: {scale: [0.8, 1.2]}}
ensemble: {maskings: 2, scales: [1.0]}
student: {name: repseg, width: 16}
distill:
  start: nothing
  losses: {soft: {}, regression: null, normals: null}
  train: *train
evaluate: {split: val, pictures: 2}
export: {upsampling: nearest}
require: {student_beats_baseline: false} # four steps prove nothing
"""


def draw_frame(folder: Path, name: str, seed: int) -> None:
    """Sky above, grass below, a red roof between them somewhere; colours noisy, labels exact."""
    rng = np.random.default_rng(seed)
    label = np.full((64, 96), 2, np.uint8)
    label[: rng.integers(15, 30)] = 0
    top, left = rng.integers(20, 40), rng.integers(5, 60)
    label[top : top + 18, left : left + 30] = 1
    colours = np.array([[90, 140, 220], [190, 60, 50], [60, 150, 60]])
    rgb = np.clip(colours[label] + rng.normal(0, 12, (64, 96, 3)), 0, 255).astype(np.uint8)
    write_png(folder / "images" / f"{name}.png", rgb)
    write_png(folder / "labels" / f"{name}.png", label)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``photographs``: 8 train, 2 val and 2 test frames of 64×96, and the recipe ``tiny.yaml``."""
    base = tmp_path_factory.mktemp("base")
    for i, split in enumerate(["train"] * 8 + ["val"] * 2 + ["test"] * 2):
        draw_frame(base / "photographs" / split, f"f{i}", i)
    (base / "tiny.yaml").write_text(RECIPE)
    return base


@pytest.fixture(scope="session")
def draw():
    """``draw(folder, name, seed)`` writes a frame and its label."""
    return draw_frame


@pytest.fixture(scope="session")
def tell():
    """Run `edgekit …` as a function of its arguments: exit code, the one document on stdout, and stderr."""

    def tell(*args: object) -> SimpleNamespace:
        out, err = io.StringIO(), io.StringIO()
        torch.set_num_threads(1)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*map(str, args), "--json"])
        return SimpleNamespace(code=code, found=json.loads(out.getvalue()), err=err.getvalue())

    return tell


@pytest.fixture(scope="session")
def first(photographs, tell, tmp_path_factory) -> SimpleNamespace:
    """The first run of the recipe: ``root`` of runs, ``run`` folder, ``found`` document."""
    root = tmp_path_factory.mktemp("runs")
    done = tell("distill", photographs / "tiny.yaml", "--out", root)
    assert done.code == 0, done.err
    return SimpleNamespace(recipe=photographs / "tiny.yaml", root=root, run=Path(done.found["run"]), **vars(done))


@pytest.fixture
def copied(first, tmp_path) -> SimpleNamespace:
    """The same, in a folder that a test may damage."""
    root = tmp_path / "runs"
    shutil.copytree(first.root, root)
    return SimpleNamespace(recipe=first.recipe, root=root, run=root / first.run.name, found=first.found)


# Everything is imported once; each run is a fork of this process, which has one thread, and can be killed alone.
NURSERY = """
import json, os, sys
import torch
import edgekit.pipeline.run, edgekit.recipe.schema, edgekit.cli.distill
from edgekit.cli.main import main
torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # torch imports its compiler for the first optimiser
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        print(os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1]), flush=True)
        continue
    child = os.fork()
    if child == 0:
        os.environ.update(asked["env"])
        for stream, path in ((1, asked["out"]), (2, asked["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        try:
            code = main(asked["args"])
            sys.stdout.flush(), sys.stderr.flush()
        finally:
            os._exit(code)
    print(child, flush=True)
"""


class Nursery:
    """Starts `edgekit …` in processes of their own, without the seconds that importing takes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout.readline() == "ready\n"

    def start(self, *arguments: object, env: dict | None = None, out=os.devnull, err=os.devnull) -> int:
        """The process id of ``edgekit …``; its output goes to the files ``out`` and ``err``."""
        asked = {"args": [str(a) for a in arguments], "env": env or {}, "out": str(out), "err": str(err)}
        return int(self._ask(asked))

    def code(self, pid: int) -> int:
        """The exit code of what was started, once it has ended; -9 where it was killed."""
        return int(self._ask({"wait": pid}))

    def alive(self, pid: int) -> bool:
        """Whether it runs: one that has ended stays as a zombie until its code is asked for."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def _ask(self, asked: dict) -> str:
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def nursery(cache_folder) -> Iterator[Nursery]:
    with contextlib.closing(Nursery()) as nursery:
        yield nursery

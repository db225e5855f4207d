"""kill -9 at random moments of what writes: the target is whole or as it was, and the next start leaves nothing behind.

The moments are drawn from a seed that is shown when a test fails; ``EDGEKIT_KILL_SEED=123`` draws them again.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle.bundle import open_bundle
from tools.fuzzing.sandbox import command

KILLS = 20

pytestmark = pytest.mark.slow


def start(*arguments: object) -> int:
    """`edgekit …` in a fork; its process id."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1), os.dup2(nowhere, 2)
            os.replace, os.rename = _hesitant(os.replace), _hesitant(os.rename)
            code = command(*arguments)()
        finally:
            os._exit(code)
    return child


def _hesitant(move: Callable) -> Callable:
    """``move`` after 5 ms: on a fast disk a small file is half-written for too short a time to be hit."""

    def later(*args: object, **kwargs: object) -> None:
        time.sleep(0.005)
        move(*args, **kwargs)

    return later


def end(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def half_written(folder: Path) -> bool:
    try:
        return next(folder.rglob(".part-*"), None) is not None
    except FileNotFoundError:  # it went while it was looked for
        return False


def kill_often(arguments: tuple, writes: Path, check: Callable[[], None]) -> None:
    """Run to the end once, then kill twenty times: at a random moment, or as soon as something is half-written.

    ``writes``: the folder under which that happens. ``check`` is asked after every kill; in the end a start of the same
    command must succeed and leave no ``.part-*``.
    """
    seed = int(os.environ.get("EDGEKIT_KILL_SEED") or random.SystemRandom().randrange(10**6))
    rng, began = random.Random(seed), time.monotonic()
    assert end(start(*arguments)) == 0
    seconds, hits, halves = time.monotonic() - began, 0, 0
    for turn in range(10 * KILLS):
        child = start(*arguments)
        deadline = time.monotonic() + (rng.uniform(0, seconds) if turn % 2 else 10 * seconds)
        while time.monotonic() < deadline and not (turn % 2 == 0 and half_written(writes)):
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.0005)
        time.sleep(rng.choice([0, 0, 0.001, 0.003]))
        os.kill(child, signal.SIGKILL)
        hits += end(child) == -signal.SIGKILL
        halves += half_written(writes)
        try:
            check()
        except BaseException as error:
            error.add_note(f"seed {seed}, turn {turn}") if hasattr(error, "add_note") else None
            raise
        if hits >= KILLS:
            break
    assert hits >= KILLS and halves, (seed, hits, halves)
    assert end(start(*arguments)) == 0, seed
    assert not list(writes.rglob(".part-*")), seed
    check()


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".part-" not in str(path)]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("out", ["bundle", "bundle.tar"])
def test_export(made, tmp_path, out):
    frames = Path(shutil.copytree(made.root / "photographs" / "val" / "images", tmp_path / "frames"))
    words = ("export", made.student, "--frames", frames, "--target", "onnx", "--out", tmp_path / "made" / out)
    kill_often(words, tmp_path / "made", lambda: open_bundle(tmp_path / "made" / out))


def test_run_to_a_film(made, tmp_path):
    import cv2

    from edgekit.frames.images import write_png

    for i in range(30):
        write_png(tmp_path / "frames" / f"{i:02d}.png", np.full((64, 96, 3), 8 * i, np.uint8))
    film = tmp_path / "made" / "film.avi"

    def check() -> None:
        capture = cv2.VideoCapture(str(film))
        assert sum(capture.grab() for _ in range(40)) == 30

    words = (
        "run",
        made.bundle,
        "--input",
        tmp_path / "frames",
        "--output",
        film,
        "--precision",
        "fp32",
        "--threads",
        "1",
    )
    kill_often(words, tmp_path / "made", check)


def test_unpacking(made, tmp_path, monkeypatch):
    from tools.fuzzing.bases import pack

    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("edgekit.bundle.unpack._is_whole", lambda *_: False)  # unpack every time
    pack(made.bundle, tmp_path / "b.tar")
    whole = contents(made.bundle)

    def check() -> None:
        for folder in (tmp_path / "cache" / "bundles").glob("[!.]*"):
            assert contents(folder) == whole

    kill_often(("bundle", "verify", tmp_path / "b.tar"), tmp_path / "cache", check)


def test_data_convert(made, tmp_path, data):
    out = tmp_path / "made" / "sets"
    words = ("data", "convert", data / "tiny.yaml", "--out", out)
    assert end(start(*words)) == 0
    whole = contents(out)
    shutil.rmtree(out)

    def check() -> None:
        found = contents(out)
        assert found.items() <= whole.items() or {".lock"} >= {n for n in found if found[n] != whole.get(n)}
        shutil.rmtree(out / "train_set", ignore_errors=True)  # so that there is something to do again

    kill_often(words, tmp_path / "made", check)

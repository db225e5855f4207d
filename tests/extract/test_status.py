"""`data status` and `data verify`: what they count, against what was done to the files."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import pytest

from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.extract.files import write_map
from edgekit.extract.status import status, verify


def cells(work):
    return {film: counts for (_, film), counts in status(work.out).cells.items()}


def test_a_whole_result_is_complete(work, capsys):
    work.run()
    found = status(work.out)
    assert found.complete and found.extra == 0 and found.unread == [] and found.failures == []
    assert {t: c.done for t, c in cells(work)["a"].items()} == {t: 4 if t == "flow" else 5 for t in found.tasks}
    assert found.rates["depth"] > 0
    assert main(["data", "status", str(work.out)]) == 0
    assert "safe-landing" in capsys.readouterr().out


def test_what_is_missing_stale_or_too_much_is_counted(work, capsys):
    work.run()
    for name in ("a_000001", "a_000002"):
        (work.out / f"train_set/depth/{name}.npz").unlink()
    path = work.out / "semisupervised_set/built/b_000000.npz"
    path.write_bytes(path.read_bytes()[:-1])
    np.savez(work.out / "train_set/two/a_000009", np.zeros(3))
    found = cells(work)
    assert (found["a"]["depth"].missing, found["a"]["depth"].done) == (2, 3)
    assert (found["b"]["built"].stale, found["b"]["built"].missing) == (1, 0)
    assert sum(cell.missing + cell.stale for film in found.values() for cell in film.values()) == 3
    assert status(work.out).extra == 1 and not status(work.out).complete
    assert main(["data", "status", str(work.out), "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["films"][0]["tasks"]["depth"]["missing"] == 2 and shown["extra_files"] == 1


def test_a_changed_pipeline_makes_maps_stale_and_a_new_film_is_unread(work, film, frames_of):
    work.run()
    work.tasks = work.tasks.replace("window: 5", "window: 7")
    film(work.base / "c.mp4", frames_of(2))
    work.sets = "{train_set: [c.mp4, a.mp4], semisupervised_set: [b.mp4]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgekit.extract.run._Work.film", lambda self, film: iter(()))
        work.run()  # as if it was killed at once
    found = cells(work)
    assert found["a"]["normals_svd(depth)"].stale == 5 and found["a"]["safe-landing"].stale == 5
    assert found["a"]["depth"].done == 5
    assert status(work.out).unread == [("train_set", "c")]


def rewritten(path, array):
    """Another map in the file, under the same key: only who reads it can tell."""
    with zipfile.ZipFile(path) as archive:
        key = archive.comment.decode().rpartition(" ")[2]
    write_map(path, array, key)


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def test_every_file_is_read_to_its_last_byte(work, capsys):
    work.run()
    assert main(["data", "verify", str(work.out)]) == 0
    assert verify(work.out).files == 13 * 8 - 2
    whole = work.tree()
    bad = {
        "rgb": lambda p: flipped(p),
        "depth": lambda p: rewritten(p, np.zeros((48, 96, 2), np.float32)),
        "seg_a": lambda p: rewritten(p, np.full((48, 96), 9, np.uint8)),
        "hsv": lambda p: rewritten(p, np.zeros((24, 96, 3), np.float16)),
        "built": lambda p: p.write_bytes(b""),
        "normals_svd(depth)": lambda p: rewritten(p, np.full((48, 96, 3), 1.5, np.float16)),  # stored from 0 to 1
        "flow": lambda p: rewritten(p, np.full((48, 96, 2), np.inf, np.float16)),
    }
    for i, (task, damage) in enumerate(bad.items()):
        damage(work.out / f"train_set/{task}/a_{i % 5:06d}.npz")
    found = verify(work.out)
    assert {os.path.relpath(path, work.out) for path in found.bad} == {
        f"train_set/{task}/a_{i % 5:06d}.npz" for i, task in enumerate(bad)
    }
    capsys.readouterr()
    assert main(["data", "verify", str(work.out), "--remove", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["removed"] == 7
    assert set(work.run().written) == set(bad)
    assert work.tree() == whole and verify(work.out).bad == {}


@pytest.mark.parametrize("command", ["status", "verify"])
def test_another_folder_is_refused(work, command, capsys):
    work.out.mkdir()
    assert main(["data", command, str(work.out)]) == 2
    assert "no result of" in capsys.readouterr().err


def test_a_plan_cannot_name_files_elsewhere(work):
    work.run()
    plan = work.out / ".edgekit/plan.json"
    plan.write_text(plan.read_text().replace('"train_set"', '"../../train_set"'))
    with pytest.raises(EdgekitError, match="cannot name a file"):
        verify(work.out, remove=True)


@pytest.mark.parametrize("text", ["{", "[]", '{"depth": 3}', '{"depth": [1, "x"]}'])
def test_damaged_records_are_passed_over(work, text):
    work.tasks, work.sets = "", "{train_set: [b.mp4]}"
    work.run()
    for path in (work.out / ".edgekit").glob("[rf]*/**/*.json"):
        path.write_text(text)
    assert status(work.out).rates == {} and status(work.out).unread == [("train_set", "b")]
    assert work.run().kept["rgb"] == 3 and status(work.out).complete

"""A bundle is written whole or not at all, and says what its files hash to."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from edgekit.bundle.bundle import open_bundle
from edgekit.bundle.manifest import SCHEMA, Artifact, Golden, Manifest, OutputTensor, Preprocessing, StudentInfo, Tensor
from edgekit.bundle.write import check_place, write_bundle
from edgekit.errors import EdgekitError
from edgekit.tasks import Task


def network() -> bytes:
    """What the manifest below describes."""
    nodes = [
        helper.make_node("Cast", ["frames"], ["numbers"], to=TensorProto.INT32),
        helper.make_node("ReduceMax", ["numbers"], ["most"], axes=[3], keepdims=0),
        helper.make_node("Cast", ["most"], ["semantic_classes"], to=TensorProto.UINT8),
    ]
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, (1, 64, 96, 3))
    classes = helper.make_tensor_value_info("semantic_classes", TensorProto.UINT8, (1, 64, 96))
    graph = helper.make_graph(nodes, "g", [frames], [classes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


FILES = {"fp32.onnx": network(), "golden.npz": b"golden", "build.sh": b"#!/bin/sh\n"}


def manifest(**changes) -> Manifest:
    output = OutputTensor("semantic_classes", "uint8", (1, 64, 96), "semantic", "classes", 1)
    fields = {
        "schema": SCHEMA,
        "name": "tiny",
        "edgekit": "0.1.0",
        "created": "2025-01-01T00:00:00Z",
        "target": "cpu",
        "board": None,
        "jetpack": None,
        "student": StudentInfo("repseg", 16, 1, 1, 4),
        "tasks": (Task("semantic", "semantic", classes=("a", "b"), colours=((0, 0, 0), (1, 1, 1))),),
        "preprocessing": Preprocessing((64, 96), "letterbox", (0, 0, 0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        "artifacts": (
            Artifact("fp32.onnx", "onnxruntime", "fp32", 17, Tensor("frames", "uint8", (1, 64, 96, 3)), (output,)),
        ),
        "golden": Golden("golden.npz", 1, "synthetic", {}),
    }
    return Manifest(**{**fields, **changes})


@pytest.mark.parametrize("name", ["made/bundle", "made/bundle.tar"])
def test_what_is_written_opens(tmp_path, name):
    written = write_bundle(manifest(), FILES, tmp_path / name)
    opened = open_bundle(tmp_path / name)
    assert opened.manifest == written
    assert opened.manifest.files == {n: hashlib.sha256(c).hexdigest() for n, c in FILES.items()}
    assert all(opened.read(n) == content for n, content in FILES.items())
    assert [p.name for p in (tmp_path / "made").iterdir()] == [Path(name).name]


def test_an_archive_is_plain_and_always_the_same_bytes(tmp_path):
    for name in ("a.tar", "b.tar"):
        write_bundle(manifest(), FILES, tmp_path / name)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar", "r:") as tar:
        members = tar.getmembers()
    assert {m.name for m in members} == {"manifest.json", *FILES}
    assert all((m.uid, m.uname, m.mtime) == (0, "", 0) for m in members)


def test_the_script_can_be_run(tmp_path):
    write_bundle(manifest(), FILES, tmp_path / "bundle")
    assert os.access(tmp_path / "bundle" / "build.sh", os.X_OK)


def test_an_older_bundle_is_replaced(tmp_path):
    write_bundle(manifest(name="old"), {**FILES, "more.txt": b"more"}, tmp_path / "bundle")
    write_bundle(manifest(name="new"), FILES, tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").manifest.name == "new"
    assert not (tmp_path / "bundle" / "more.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_something_that_is_no_bundle_is_not_touched(tmp_path):
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "a.jpg").write_bytes(b"mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "manifest.json").write_text('{"name": "another program\'s"}')
    (tmp_path / "text.tar").write_text("mine")
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(tmp_path / "app" / "manifest.json", "manifest.json")
    for place in ("photographs", "file", "folder.tar", "app", "text.tar", "other.tar"):
        with pytest.raises(EdgekitError) as caught:
            check_place(tmp_path / place)
        assert str(tmp_path / place) in caught.value.where
        with pytest.raises(EdgekitError):
            write_bundle(manifest(), FILES, tmp_path / place)
    assert (tmp_path / "photographs" / "a.jpg").read_bytes() == b"mine"
    assert (tmp_path / "file").read_text() == (tmp_path / "text.tar").read_text() == "mine"
    assert (tmp_path / "app" / "manifest.json").exists()


@pytest.mark.parametrize("place", ["file/bundle", "file/deep/bundle.tar", "n" * 300])
def test_a_place_that_takes_no_file_is_refused_before_the_work(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(EdgekitError, match="cannot be written") as caught:
        check_place(tmp_path / place)
    assert str(tmp_path / place) in caught.value.where


@pytest.mark.parametrize("name", ["bundle", "bundle.tar"])
def test_a_place_that_is_free_or_a_bundles_is_left_as_it_was(tmp_path, name):
    check_place(tmp_path / "new" / name)
    assert list(tmp_path.iterdir()) == []
    write_bundle(manifest(), FILES, tmp_path / name)
    check_place(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name] and open_bundle(tmp_path / name)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(EdgekitError, match="cannot be written") as caught:
        write_bundle(manifest(), FILES, tmp_path / "locked" / "bundle")
    assert "locked" in caught.value.where


@pytest.mark.parametrize("name", ["bundle", "bundle.tar"])
def test_a_kill_while_writing_leaves_no_half_bundle(tmp_path, name):
    """The process dies between two files; what can be opened afterwards is whole."""
    code = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from pathlib import Path
from test_write_bundle import FILES, manifest
from edgekit.bundle.write import write_bundle
import edgekit.bundle.write as write

class Slow(dict):
    def items(self):
        for n, (name, content) in enumerate(super().items()):
            yield name, content
            if n == 1 and sys._getframe(1).f_code.co_name.startswith("_write"):
                print("half", flush=True)
                import time; time.sleep(60)

original = write._write_folder if {name!r} == "bundle" else write._write_tar
setattr(write, original.__name__, lambda files, out: original(Slow(files), out))
write_bundle(manifest(), FILES, Path({str(tmp_path / name)!r}))
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "half\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not (tmp_path / name).exists()
    write_bundle(manifest(), FILES, tmp_path / name)
    assert open_bundle(tmp_path / name).manifest.name == "tiny"


KILLED = """
import os, signal, sys
sys.path[:0] = [sys.argv[1]]
from pathlib import Path
from test_write_bundle import FILES, manifest
from edgekit.bundle import write

at_once, kill_at = sys.argv[3] == "exchange", int(sys.argv[4])
renames, rename, exchange = [], os.rename, write.exchange

def counted(act):
    def wrapped(*arguments):
        if kill_at == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        done = act(*arguments)
        renames.append(arguments)
        if len(renames) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return wrapped

os.rename = counted(rename)
write.exchange = counted(exchange) if at_once else lambda one, other: False
write.write_bundle(manifest(name="new"), FILES, Path(sys.argv[2]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 is Linux's")
@pytest.mark.parametrize(("how", "moments"), [("exchange", 2), ("renames", 3)])
@pytest.mark.parametrize("next_start", [open_bundle, check_place])
def test_a_kill_between_the_renames_loses_no_bundle(tmp_path, how, moments, next_start):
    """With the exchange the target is never missing; with two renames the next start puts the old one back."""
    for moment in range(moments):
        out = tmp_path / f"{moment}" / "bundle"
        write_bundle(manifest(name="old"), FILES, out)
        arguments = [str(Path(__file__).parent), str(out), how, str(moment)]
        assert subprocess.run([sys.executable, "-c", KILLED, *arguments]).returncode == -signal.SIGKILL
        assert [p for p in out.parent.iterdir() if p != out]  # what was killed has left something
        if how == "exchange":
            assert open_bundle(out).manifest.name == ("old" if moment == 0 else "new")
        if next_start is open_bundle and out.exists():
            check_place(out)
        next_start(out)
        assert open_bundle(out).manifest.name == ("new" if moment == moments - 1 else "old")
        assert [p.name for p in out.parent.iterdir()] == ["bundle"]


def test_a_rename_that_fails_puts_the_old_bundle_back(tmp_path, monkeypatch):
    write_bundle(manifest(name="old"), FILES, tmp_path / "bundle")
    rename = os.rename

    def fails(source, target):
        if Path(source).name == "bundle" and Path(target) == tmp_path / "bundle" and "old" not in Path(source).parts:
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr("edgekit.bundle.write.exchange", lambda one, other: False)
    monkeypatch.setattr("edgekit.bundle.write.os.rename", fails)
    with pytest.raises(EdgekitError, match="cannot be written: No space"):
        write_bundle(manifest(name="new"), FILES, tmp_path / "bundle")
    monkeypatch.undo()
    assert open_bundle(tmp_path / "bundle").manifest.name == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("name", ["bundle", "bundle.tar"])
def test_what_would_not_open_is_not_written(tmp_path, name):
    """Neither a graph that is another one, nor a manifest that contradicts itself."""
    student = StudentInfo("repseg", 16, 1, 1, 4)
    for changes, files, says in (
        ({}, {**FILES, "fp32.onnx": b"no network"}, "the graph"),
        ({"student": dataclasses.replace(student, name="../x")}, FILES, "separator"),
        ({"student": dataclasses.replace(student, stride=0)}, FILES, "the student is impossible"),
    ):
        with pytest.raises(EdgekitError, match=says):
            write_bundle(manifest(**changes), files, tmp_path / name)
        assert not list(tmp_path.iterdir())

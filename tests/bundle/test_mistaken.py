"""Files and folders that are given as bundles and are none: the error names them, and what to give."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.errors import EdgekitError


def refused(path: Path) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        open_bundle(path)
    return caught.value


@pytest.mark.parametrize(("suffix", "how", "tool"), [(".tgz", "gz", "gunzip"), (".tar.gz", "gz", "gunzip"),
    (".tbz", "bz2", "bunzip2"), (".tar.xz", "xz", "unxz"), (".tar", "gz", "gunzip"), ("", "xz", "unxz")])  # fmt: skip
def test_a_compressed_archive_is_to_be_unpacked_first(tiny_bundle, tmp_path, suffix, how, tool):
    """By its content, whatever it is called."""
    with tarfile.open(tmp_path / f"b{suffix}", f"w:{how}") as tar:
        tar.add(tiny_bundle, arcname=".")
    error = refused(tmp_path / f"b{suffix}")
    assert "compressed archive" in error.what and tool in error.fix and ".tar" in error.fix


@pytest.mark.parametrize("name", ["bundle.zip", "bundle", "bundle.tar"])
def test_a_zip_is_to_be_unpacked_first(tiny_bundle, tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for path in tiny_bundle.iterdir():
            archive.write(path, path.name)
    error = refused(tmp_path / name)
    assert "a .zip" in error.what and "unzip" in error.fix


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["student.pt", "student.pth", "student"])
def test_a_student_is_to_be_exported_first(tmp_path, zipped, name):
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.zeros(2)}, tmp_path / name, _use_new_zipfile_serialization=zipped)
    error = refused(tmp_path / name)
    assert "PyTorch" in error.what and "edgekit export" in error.fix


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("net.onnx", "an ONNX graph", "edgekit export"),
        ("NET.ONNX", "an ONNX graph", "edgekit export"),
        ("uav.engine", "a TensorRT engine", "--engine"),
        ("uav.plan", "a TensorRT engine", "--engine"),
        ("uav.rtx", "an engine of TensorRT for RTX", "--engine"),
        ("uav.yaml", "a recipe", "edgekit distill"),
        ("manifest.json", "one file of a bundle", "directory or .tar"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, name, what, fix):
    (tmp_path / name).write_bytes(b"\x08\x09 something" * 100)
    error = refused(tmp_path / name)
    assert what in error.what and name in error.what and fix in error.fix and error.where == str(tmp_path / name)


def test_a_file_of_arrays_is_no_zip_to_unpack(tmp_path):
    np.savez(tmp_path / "golden.npz", a=np.zeros(3))
    assert "arrays" in refused(tmp_path / "golden.npz").what


def test_a_folder_of_another_kind_is_named(tiny_bundle, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text("")
    error = refused(run)
    assert "a run" in error.what and f"edgekit export {run}" in error.fix
    shutil.copytree(tiny_bundle, tmp_path / "many" / "one")
    error = refused(tmp_path / "many")
    assert "folder of bundles" in error.what and str(tmp_path / "many" / "one") in error.fix
    (tmp_path / "other" / "empty").mkdir(parents=True)
    assert "manifest.json" in refused(tmp_path / "other").what


def test_a_bundle_that_ends_like_a_zip_is_one(tiny_bundle, tmp_path):
    """Its golden file is a zip, and may be the archive's last member."""
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(tiny_bundle.iterdir(), key=lambda p: p.name == "golden.npz"):
            tar.add(path, arcname=path.name)
    data = (tmp_path / "b.tar").read_bytes().rstrip(b"\0")
    (tmp_path / "short.tar").write_bytes(data + b"\0" * (-len(data) % 512))
    for name in ("b.tar", "short.tar"):
        assert zipfile.is_zipfile(tmp_path / name) and open_bundle(tmp_path / name).manifest.name == "tiny"
    shutil.copytree(tiny_bundle, tmp_path / "named.onnx")
    assert open_bundle(tmp_path / "named.onnx").manifest.name == "tiny"

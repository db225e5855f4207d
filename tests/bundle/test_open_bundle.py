"""Opening a bundle: whole ones open, anything else is refused with the reason, and nothing gets out of its folder."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.bundle.manifest import SCHEMA
from edgekit.errors import EdgekitError


@pytest.fixture
def bundle(tiny_bundle, tmp_path) -> Path:
    """A bundle of one's own to spoil."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def edit(bundle: Path, **changes) -> None:
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def pack(path: Path, files: dict[str, bytes | tarfile.TarInfo]) -> Path:
    """A tar with members of any name; a TarInfo instead of bytes is added as it is."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content, io.BytesIO(b"\0" * content.size))
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def contents(bundle: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in bundle.iterdir()}


def test_a_directory_and_its_tar_are_the_same_bundle(bundle, tmp_path):
    archive = pack(tmp_path / "b.tar", contents(bundle))
    opened, unpacked = open_bundle(bundle), open_bundle(archive)
    assert opened.manifest == unpacked.manifest
    assert opened.folder == bundle and unpacked.folder != bundle and unpacked.source == archive
    for name in opened.manifest.files:
        assert opened.read(name) == unpacked.read(name) == unpacked.path(name).read_bytes()
    assert opened.size() == sum(len(v) for k, v in contents(bundle).items() if k != "manifest.json")


def test_a_tar_is_unpacked_once_and_mended_when_its_folder_was_touched(bundle, tmp_path):
    archive = pack(tmp_path / "b.tar", contents(bundle))
    first = open_bundle(archive)
    before = first.path("fp32.onnx").stat().st_mtime_ns
    assert open_bundle(archive).folder == first.folder
    assert first.path("fp32.onnx").stat().st_mtime_ns == before
    first.path("fp32.onnx").write_bytes(b"something else")
    assert open_bundle(archive).read("fp32.onnx") == (bundle / "fp32.onnx").read_bytes()


def test_a_tar_of_the_folder_is_a_bundle_too(bundle, tmp_path):
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.add(bundle, arcname="mine")
    with tarfile.open(tmp_path / "dot.tar", "w") as tar:
        tar.add(bundle, arcname=".")
    assert open_bundle(tmp_path / "b.tar").manifest == open_bundle(tmp_path / "dot.tar").manifest


def test_artifacts_are_found_by_lane_and_precision(bundle):
    opened = open_bundle(bundle)
    assert opened.artifact("onnxruntime", "int8").file == "int8.onnx"
    assert [a.file for a in opened.artifacts("onnxruntime")] == ["fp32.onnx", "int8.onnx"]
    assert [a.file for a in opened.artifacts(precision="fp32")] == ["fp32.onnx", "body.onnx"]
    with pytest.raises(EdgekitError, match="no fp16 artifact in the strong lane") as error:
        opened.artifact("strong", "fp16")
    assert "cache/fp32" in error.value.fix
    with pytest.raises(ValueError, match="no file of the bundle"):
        opened.path("../secret")


def test_golden_frames(bundle):
    golden = open_bundle(bundle).golden()
    assert golden["frames"].shape == (2, 64, 96, 3) and golden["semantic_classes"].shape == (2, 64, 96)
    assert list(open_bundle(bundle).golden(["frames"])) == ["frames"]


def test_what_is_nowhere_is_refused(tmp_path):
    with pytest.raises(EdgekitError, match="there is no bundle here"):
        open_bundle(tmp_path / "nowhere")
    with pytest.raises(EdgekitError, match=r"it has no manifest\.json"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("name", ["fp32.onnx", "golden.npz"])
def test_every_file_is_checked(bundle, name):
    content = bytearray((bundle / name).read_bytes())
    (bundle / name).write_bytes(content[:-1])
    with pytest.raises(EdgekitError, match="not the one that was exported") as error:
        open_bundle(bundle)
    assert name in error.value.where
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(EdgekitError, match="not the one that was exported"):
        open_bundle(bundle)
    (bundle / name).unlink()
    with pytest.raises(EdgekitError, match="incomplete: a file is missing"):
        open_bundle(bundle)


def test_a_pipe_in_place_of_a_file_is_refused_instead_of_read(bundle):
    (bundle / "fp32.onnx").unlink()
    os.mkfifo(bundle / "fp32.onnx")
    with pytest.raises(EdgekitError, match="not a regular file"):
        open_bundle(bundle)


def test_a_file_that_changes_after_opening_is_not_used(bundle):
    opened = open_bundle(bundle)
    (bundle / "fp32.onnx").write_bytes(b"another network")
    with pytest.raises(EdgekitError, match="changed since"):
        opened.read("fp32.onnx")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[" * 100_000, "nested deeper"),
        ("[]", "states no schema"),
        ('{"schema": 99, "edgekit": "9.1"}', "schema 99"),
        ('{"schema": 1, "edgekit": "0.0.1"}', "schema 1, .*\\n.*\\n.*0.0.1"),
        (f'{{"schema": {SCHEMA}}}', "lacks the field 'name'"),
    ],
)
def test_a_damaged_manifest_or_one_of_another_schema(bundle, text, reason):
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(EdgekitError, match=reason):
        open_bundle(bundle)


@pytest.mark.parametrize("field", ["ranges", "parity", "files", "provenance"])
def test_every_field_is_there(bundle, field):
    whole = json.loads((bundle / "manifest.json").read_text())
    del whole[field]
    (bundle / "manifest.json").write_text(json.dumps(whole))
    with pytest.raises(EdgekitError, match=f"manifest lacks the field '{field}'"):
        open_bundle(bundle)


def test_a_manifest_that_is_no_text(bundle):
    (bundle / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EdgekitError, match="no JSON that can be read"):
        open_bundle(bundle)


def test_nan_is_no_number(bundle):
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace('"depth_scale": 1.0', '"depth_scale": NaN'))
    with pytest.raises(EdgekitError, match="NaN"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "name", ["../out.onnx", "/etc/passwd", "a/../../b", "a\\b", "", "manifest.json", "a//b", ".hidden"]
)
def test_a_manifest_cannot_name_files_elsewhere(bundle, name):
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    edit(bundle, files={**files, name: "0" * 64})
    with pytest.raises(EdgekitError, match="outside the bundle or with an unusual name"):
        open_bundle(bundle)


def test_a_manifest_that_contradicts_itself(bundle):
    whole = json.loads((bundle / "manifest.json").read_text())
    files, artifacts, tasks, pre = whole["files"], whole["artifacts"], whole["tasks"], whole["preprocessing"]
    first = artifacts[0]
    output = first["outputs"][0]
    for changes, reason in (
        ({"artifacts": []}, "no artifact"),
        ({"tasks": [], "artifacts": artifacts}, "predicts nothing"),
        ({"files": {k: v for k, v in files.items() if k != "int8.onnx"}}, "'int8.onnx' is used"),
        ({"files": {k: v for k, v in files.items() if k != "golden.npz"}}, "'golden.npz' is used"),
        ({"tasks": tasks[:1]}, "unknown task 'depth'"),
        ({"tasks": [tasks[0], *tasks]}, "not unique"),
        ({"tasks": [{**tasks[0], "kind": "telepathy"}, *tasks[1:]]}, "unknown kind of task 'telepathy'"),
        ({"tasks": [{**tasks[0], "kind": "modality"}, *tasks[1:]]}, "no student predicts"),
        ({"artifacts": [{**first, "outputs": [{**output, "form": "depth"}]}]}, "has depth of 'semantic'"),
        ({"artifacts": [{**first, "outputs": [{**output, "stride": 0}]}]}, "stride 0"),
        ({"artifacts": [{**first, "outputs": []}]}, "no outputs"),
        ({"artifacts": [{**first, "input": {**first["input"], "shape": [1, 2]}}]}, "four dimensions"),
        ({"artifacts": [{**first, "input": {**first["input"], "shape": [1, -5, 96, 3]}}]}, "impossible shape"),
        ({"artifacts": [{**first, "outputs": [{**output, "shape": [1, 0, 96]}]}]}, "impossible shape"),
        ({"preprocessing": {**pre, "std": [0.0, 1.0, 1.0]}}, "impossible"),
        ({"preprocessing": {**pre, "size": [0, 96]}}, "impossible"),
        ({"preprocessing": {**pre, "pad": [0, 0, 300]}}, "impossible"),
        ({"preprocessing": {**pre, "content": [pre["size"][0] + 1, 8]}}, "are to fill"),
    ):
        (bundle / "manifest.json").write_text(json.dumps({**whole, **changes}))
        with pytest.raises(EdgekitError, match=reason):
            open_bundle(bundle)


def test_golden_frames_are_never_unpickled(bundle, tiny):
    class Trap:
        def __reduce__(self):
            return (os.system, (f"touch {bundle}/executed",))

    np.savez(bundle / "golden.npz", frames=np.array([Trap()], dtype=object))
    tiny.rehash(bundle)
    with pytest.raises(EdgekitError, match="golden file is damaged"):
        open_bundle(bundle).golden()
    assert not (bundle / "executed").exists()


@pytest.mark.parametrize("arrays", [{"frames": np.zeros((3, 64, 96, 3), np.uint8)}, {"semantic_classes": np.zeros(5)}])
def test_golden_arrays_of_another_shape(bundle, tiny, arrays):
    np.savez(bundle / "golden.npz", **arrays)
    tiny.rehash(bundle)
    with pytest.raises(EdgekitError, match="golden"):
        open_bundle(bundle).golden()


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


EVIL = {
    "dots": ({"../outside.txt": b"x"}, "written outside"),
    "deep dots": ({"a/../../outside.txt": b"x"}, "written outside"),
    "absolute": ({"/tmp/edgekit-outside.txt": b"x"}, "written outside"),
    "backslash": ({"..\\outside.txt": b"x"}, "written outside"),
    "stray": ({"extra.onnx": b"x"}, "not listed"),
    "stray folder": ({"more/extra.onnx": b"x"}, "not listed"),
    "symlink": ({"l": link("fp32.onnx", tarfile.SYMTYPE, "/etc/passwd")}, "no regular file"),
    "hard link": ({"l": link("extra", tarfile.LNKTYPE, "manifest.json")}, "no regular file"),
    "device": ({"l": link("null", tarfile.CHRTYPE, "")}, "no regular file"),
    "pipe": ({"l": link("pipe", tarfile.FIFOTYPE, "")}, "no regular file"),
    "twice": ({"./fp32.onnx": b"x"}, "there twice"),
}


@pytest.mark.parametrize("case", EVIL)
def test_a_tar_with_anything_else_in_it_writes_nothing(bundle, tmp_path, cache_folder, case):
    more, reason = EVIL[case]
    archive = pack(tmp_path / "evil.tar", {**contents(bundle), **more})
    (cache_folder / "bundles").mkdir(exist_ok=True)
    before = sorted(cache_folder.rglob("*"))
    with pytest.raises(EdgekitError, match=reason) as error:
        open_bundle(archive)
    assert "evil.tar" in error.value.where
    assert sorted(cache_folder.rglob("*")) == before
    assert not Path("/tmp/edgekit-outside.txt").exists()


def test_a_truncated_tar(bundle, tmp_path, cache_folder):
    whole = pack(tmp_path / "b.tar", contents(bundle)).read_bytes()
    before = sorted(cache_folder.rglob("*"))
    for length in (0, 1, 511, 700, len(whole) // 2, (bundle / "manifest.json").stat().st_size):
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        with pytest.raises(EdgekitError) as error:
            open_bundle(tmp_path / "cut.tar")
        assert "truncated" in error.value.what and "do not use" not in error.value.fix
    assert [p for p in sorted(cache_folder.rglob("*")) if p not in before and p.name != "bundles"] == []


def test_a_tar_that_lacks_a_file_is_incomplete(bundle, tmp_path):
    archive = pack(tmp_path / "b.tar", {k: v for k, v in contents(bundle).items() if k != "int8.onnx"})
    with pytest.raises(EdgekitError, match="incomplete"):
        open_bundle(archive)


def test_other_files_are_no_bundles(bundle, tmp_path):
    for content in (b"", b"\x89PNG", b"x" * 20_000):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(EdgekitError):
            open_bundle(tmp_path / "file")
    with pytest.raises(EdgekitError, match=r"no manifest\.json"):
        open_bundle(pack(tmp_path / "other.tar", {"readme": b"hello"}))


def test_a_member_that_claims_to_be_larger_than_the_archive(bundle, tmp_path):
    archive = pack(tmp_path / "b.tar", contents(bundle))
    data = bytearray(archive.read_bytes())
    data[124:136] = b"77777777777\0"  # the first member's size, 8 GiB; the header's checksum follows
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    archive.write_bytes(data)
    with pytest.raises(EdgekitError):
        open_bundle(archive)


def test_files_beside_those_of_a_bundle_are_strays_and_engines_are_not(bundle):
    assert open_bundle(bundle).strays() == []
    (bundle / "engines").mkdir()
    (bundle / "engines" / "int8.plan").write_bytes(b"")
    (bundle / "more").mkdir()
    (bundle / "more" / "engines").mkdir()
    for name in ("notes.txt", "more/.hidden", "more/engines/x.plan"):
        (bundle / name).write_text("")
    (bundle / "link").symlink_to("/tmp")
    assert open_bundle(bundle).strays() == ["link", "more/.hidden", "more/engines/x.plan", "notes.txt"]


def test_a_denied_cache_is_said_and_a_directory_needs_none(bundle, tmp_path, monkeypatch):
    archive = pack(tmp_path / "b.tar", contents(bundle))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(EdgekitError, match="the cache cannot be written") as caught:
        open_bundle(archive)
    assert "EDGEKIT_CACHE" in caught.value.fix
    assert open_bundle(bundle).manifest.name == "tiny"

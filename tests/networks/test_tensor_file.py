"""Files of tensors are read in every format of torch and safetensors, and take no more memory than they are large."""

from __future__ import annotations

import os
import pickle
import resource
import zipfile

import pytest
import torch

from edgekit.errors import EdgekitError
from edgekit.networks.pretrained import find_weights
from edgekit.networks.tensor_file import read_tensors

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}


def refusal(path) -> str:
    with pytest.raises(EdgekitError) as caught:
        read_tensors(path, what="the weights", fix="give others")
    assert caught.value.where == str(path) and caught.value.fix
    return caught.value.what


@pytest.mark.parametrize("form", ["zip", "old", "safetensors"])
def test_what_was_written_is_read(tmp_path, form):
    path = tmp_path / ("a.safetensors" if form == "safetensors" else "a.pt")
    if form == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=form == "zip")
    found = read_tensors(path, what="the weights", fix="")
    assert set(found) == set(STATE) and all(torch.equal(found[k], v) for k, v in STATE.items())


def test_a_small_file_that_unpacks_to_gigabytes_is_refused_before(tmp_path):
    torch.save({"a": torch.zeros(10)}, tmp_path / "plain.pt")
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(tmp_path / "plain.pt") as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if not name.endswith("/data/0"):
                new.writestr(name, old.read(name))
        with new.open("plain/data/0", "w", force_zip64=True) as member:
            for _ in range(100):
                member.write(bytes(10 << 20))
    assert path.stat().st_size < 2 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "compressed" in refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (100 << 10)  # of 1 GB


@pytest.mark.parametrize("count", [10**8, 10**15])
def test_an_old_file_whose_tensors_are_larger_than_it_is_refused(tmp_path, count):
    path = tmp_path / "a.pt"
    torch.save({"a": torch.zeros(255)}, path, _use_new_zipfile_serialization=False)
    content, small = path.read_bytes(), b"K\xff"  # 255 as a pickle writes it
    path.write_bytes(content.replace(small, b"\x8a\x08" + count.to_bytes(8, "little")))
    assert path.read_bytes() != content
    refusal(path)


def test_an_old_file_whose_tensors_are_nowhere_is_refused(tmp_path):
    """Without the list of what to read, torch gives memory that nothing was read into."""
    path = tmp_path / "a.pt"
    torch.save({"a": torch.zeros(4096)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    listed = content.rindex(b"\x80\x02]")
    path.write_bytes(content[:listed] + pickle.dumps([], protocol=2))
    assert "larger than it is" in refusal(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"x" * 99, b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.", pickle.dumps(bytearray(9), protocol=2)],
    ids=["empty", "no file of tensors", "a program", "a bytearray"],
)
def test_others_are_refused(tmp_path, content):
    for name in ("a.pt", "a.safetensors"):
        (tmp_path / name).write_bytes(content)
        refusal(tmp_path / name)


@pytest.mark.parametrize("kind", ["fifo", "hole", "zero"])
def test_weights_that_never_end_are_refused_before_they_are_hashed(tmp_path, kind):
    from tools.fuzzing.endless import endless

    endless(tmp_path / "w.pth", kind)
    with pytest.raises(EdgekitError) as caught:
        find_weights("tf_efficientnet_lite0", "w.pth", tmp_path)
    assert caught.value.where == os.fspath(tmp_path / "w.pth") and caught.value.fix

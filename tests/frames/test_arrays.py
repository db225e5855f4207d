"""Arrays of an npz: what numpy wrote is read as it is; anything else is refused before it is unpacked."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgekit import limits
from edgekit.errors import EdgekitError
from edgekit.frames.arrays import read_arrays

SHAPES = arrays.array_shapes(max_dims=4, max_side=5)
KINDS = st.sampled_from(["?", "u1", "i2", "<i4", ">i4", "u8", "f2", "<f4", ">f8"])


def packed(arrays: dict[str, np.ndarray], save=np.savez) -> io.BytesIO:
    out = io.BytesIO()
    save(out, **arrays)
    return out


@given(st.dictionaries(st.sampled_from("abc"), arrays.arrays(KINDS, SHAPES), min_size=1), st.booleans(), st.booleans())
def test_what_numpy_wrote_is_read_as_it_is(tmp_path_factory, whole, compressed, fortran):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    whole = {name: np.asfortranarray(array) if fortran else array for name, array in whole.items()}
    path.write_bytes(packed(whole, np.savez_compressed if compressed else np.savez).getvalue())
    found = read_arrays(path)
    assert found.keys() == whole.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].flags.writeable
    first = next(iter(whole))
    assert read_arrays(path, [first, "missing"]).keys() == {first}


def npy(header: str, data: bytes = bytes(64), version: int = 2) -> bytes:
    body = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<I" if version > 1 else "<H", len(body)) + body + data


def said(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


def pickled() -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.array([{}], object), allow_pickle=True)
    return out.getvalue()


HOSTILE = {
    "petabytes": npy(said("(10**15,)")),
    "petabytes stated": npy(said("(1000000000000000,)")),
    "overflow": npy(said("(4611686018427387904, 4)")),
    "longer than the data": npy(said("(100,)")),
    "shorter than the data": npy(said("(3,)")),
    "negative": npy(said("(-4, -4)")),
    "true": npy(said("(True, 16)")),
    "nested": npy(said("(" * 500 + ")" * 500)),
    "nested types": npy(said("(4,)", "[" * 300 + "]" * 300)),
    "a long header": npy(said("(16,)") + " " * 20_000),
    "objects": pickled(),
    "records": npy(said("(4,)", "[('a', '<f4')]")),
    "wide": npy(said("(4,)", "'|V10000000'")),
    "text": npy(said("(4,)", "'<U4'")),
    "complex": npy(said("(4,)", "'<c16'")),
    "empty": npy(said("(0, 4)"), b""),
    "no header": b"\x93NUMPY\x02\0",
    "a header's length": b"\x93NUMPY\x03\0\xff\xff\xff\x7f" + bytes(64),
    "no array": b"x" * 100,
    "nothing": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_headers_that_do_not_account_for_their_bytes(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("arr_0.npy", HOSTILE[name])
    with pytest.raises(EdgekitError, match="the map is damaged") as caught:
        read_arrays(tmp_path / "a.npz", what="the map", fix="write it again")
    assert caught.value.where == str(tmp_path / "a.npz") and caught.value.fix == "write it again"
    assert len(caught.value.what) < 300


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "ARRAY_BYTES", 10_000)
    for count, refused in ((9_000, False), (11_000, True)):
        (tmp_path / "a.npz").write_bytes(packed({"x": np.zeros(count, np.uint8)}, np.savez_compressed).getvalue())
        if refused:
            with pytest.raises(EdgekitError, match="unpacks to 11,128 bytes, and at most 10,000"):
                read_arrays(tmp_path / "a.npz")
        else:
            assert read_arrays(tmp_path / "a.npz")["x"].size == count


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_changed_byte_of_the_data_is_noticed(tmp_path, save):
    array = np.arange(200, dtype=np.int32)
    content = packed({"x": array}, save).getvalue()
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        about = file.getinfo("x.npy")
    start, path = about.header_offset + 30 + len(about.filename), tmp_path / "a.npz"
    for at in range(start, start + about.compress_size, 11):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
        try:
            np.testing.assert_array_equal(read_arrays(path)["x"], array)  # a byte of padding
        except EdgekitError:
            continue


def test_other_files_and_compressions_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    for content in (b"", b"no zip", HOSTILE["petabytes"], packed({"x": np.zeros(9)}).getvalue()[:-30]):
        path.write_bytes(content)
        with pytest.raises(EdgekitError, match="damaged"):
            read_arrays(path)
    whole = io.BytesIO()
    np.lib.format.write_array(whole, np.zeros(9))
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", kind) as file:
            file.writestr("x.npy", whole.getvalue())
        with pytest.raises(EdgekitError, match="in a way that numpy does not write"):
            read_arrays(path)
    with pytest.raises(FileNotFoundError):
        read_arrays(Path(tmp_path, "missing.npz"))

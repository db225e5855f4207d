"""Files of a recipe that are no files, maps and pictures larger than they say, and films that are lists."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from tools.fuzzing.endless import ENDLESS, endless
from tools.fuzzing.sandbox import command


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("place", ["recipe", "extends", "class table", "list of frames", "image", "label"])
def test_endless_files_of_a_recipe(refused, data, kind, place):
    recipe, text = data / "tiny.yaml", (data / "tiny.yaml").read_text()
    if place == "recipe":
        endless(recipe, kind)
    elif place == "extends":
        (data / "base.yaml").write_text("")
        recipe.write_text("extends: base.yaml\n" + text)
        endless(data / "base.yaml", kind)
    elif place == "class table":
        recipe.write_text(text.replace("class_names: [sky, roof, grass]", "class_dict: class_dict.csv"))
        endless(data / "photographs" / "class_dict.csv", kind)
    elif place == "list of frames":
        recipe.write_text(text.replace("labelled: 0.5", "labelled: names.txt"))
        endless(data / "names.txt", kind)
    else:
        endless(data / "photographs" / "train" / ("images" if place == "image" else "labels") / "f0.png", kind)
        if kind == "folder":
            pytest.skip("a folder of that name is no picture and is passed over")
    refused("recipe", "check", recipe)


def npy(header: str, data: bytes = bytes(64)) -> bytes:
    body = header.encode() + b"\n"
    return b"\x93NUMPY\x02\0" + struct.pack("<I", len(body)) + body + data


HEADERS = {
    "petabytes": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10**15,), }"),
    "nested": npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + "(" * 500 + ")" * 500 + ", }"),
    "large": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 3), }"),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }"),
    "empty": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 48, 3), }", b""),
    "negative": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-5, 3), }"),
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory, made):
    """The photographs in the layout of Dronescapes."""
    from tools.fuzzing import bases

    root = tmp_path_factory.mktemp("sets")
    bases.photographs(root)
    bases._sets(root)
    return root


def archive(path: Path, member: bytes, kind: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", kind) as file:
        file.writestr("arr_0.npy", member)


@pytest.mark.parametrize("size", ["", ", size: [32, 48]"])
@pytest.mark.parametrize("name", [*HEADERS, "bomb", "not a zip"])
def test_arrays_that_are_larger_than_they_say(refused, sets, tmp_path, name, size):
    import shutil

    shutil.copytree(sets / "sets", tmp_path / "sets")
    text = (sets / "converted.yaml").read_text().replace("root: sets", "root: sets" + size)
    (tmp_path / "converted.yaml").write_text(text)
    path = tmp_path / "sets" / "validation_set" / "rgb" / "f4.npz"
    if name == "bomb":
        archive(path, npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4000, 1000000), }", bytes(10**9)))
    elif name == "not a zip":
        path.write_bytes(HEADERS["petabytes"])
    else:
        archive(path, HEADERS[name])
    refused("recipe", "check", tmp_path / "converted.yaml", says="f4.npz")


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def header(width: int, height: int, colour: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)


def large_png(side: int) -> bytes:
    """A picture of side² black pixels, in about a thousandth of that."""
    packer, parts = zlib.compressobj(9), []
    row = bytes(1 + 4 * side)
    for _ in range(side):
        parts.append(packer.compress(row))
    return png(header(side, side, 6), (b"IDAT", b"".join(parts) + packer.flush()), (b"IEND", b""))


PIXELS = zlib.compress((b"\0" + bytes(48 * 3)) * 32)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 32\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif"])
def test_postscript_under_another_name_is_no_picture(refused, attempt, data, ending):
    """And Ghostscript is not asked."""
    (data / "photographs" / "train" / "images" / "f0.png").unlink()
    (data / "photographs" / "train" / "images" / f"f0{ending}").write_bytes(EPS)
    refused("recipe", "check", data / "tiny.yaml", says="cannot be read")


@pytest.mark.parametrize("form", ["ICNS", "FITS", "PCX", "DDS", "SGI", "GIF", "ICO"])
def test_only_the_formats_that_are_named_are_opened(refused, data, form):
    from PIL import Image

    path = data / "photographs" / "train" / "images" / "f0.png"
    try:
        Image.new("RGB", (48, 32)).save(path, form)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"Pillow does not write {form}")
    refused("recipe", "check", data / "tiny.yaml", says="cannot be read")


def test_a_small_file_with_many_pixels(refused, data):
    (data / "photographs" / "train" / "images" / "f0.png").write_bytes(large_png(13_000))
    refused("recipe", "check", data / "tiny.yaml", says="million")


@pytest.mark.parametrize("body", [b"", b"x\0\0", b"x\0\0" + zlib.compress(bytes(1 << 26))])
@pytest.mark.parametrize("kind", [b"iCCP", b"iTXt", b"zTXt", b"tEXt", b"eXIf", b"acTL", b"fcTL", b"tRNS", b"pHYs"])
def test_odd_chunks_are_a_sentence_or_nothing(attempt, data, kind, body):
    content = png(header(48, 32), (kind, body), (b"IDAT", PIXELS), (b"IEND", b""))
    (data / "photographs" / "train" / "images" / "f0.png").write_bytes(content)
    outcome = attempt("recipe", "check", data / "tiny.yaml")
    assert outcome.code in (0, 2)


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv", ".webm", ".txt"])
@pytest.mark.parametrize("how", ["ffconcat", "m3u8", "dash", "sdp"])
def test_a_text_that_names_other_films_opens_none(refused, bundle, ending, how):
    def make(box, outside):
        canary = outside / "canary.txt"
        text = {
            "ffconcat": f"ffconcat version 1.0\nfile '{canary}'\n",
            "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{canary}\n#EXT-X-ENDLIST\n",
            "dash": f"<?xml version='1.0'?><MPD><Period><BaseURL>{canary}</BaseURL></Period></MPD>",
            "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
        }[how]
        (box / f"film{ending}").write_text(text)
        return command("run", bundle, "--input", box / f"film{ending}", "--threads", "1")

    refused(make)


def test_a_concatenation_of_real_films_is_refused(refused, bundle, tmp_path):
    import cv2

    path = tmp_path / "other.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (96, 64))
    for _ in range(5):
        writer.write(np.zeros((64, 96, 3), np.uint8))
    writer.release()
    (tmp_path / "film.mp4").write_text(f"ffconcat version 1.0\nfile '{path.name}'\n")
    refused("run", bundle, "--input", tmp_path / "film.mp4", "--threads", "1")

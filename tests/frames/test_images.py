"""Images: what is read is what was written, and damage is named."""

from __future__ import annotations

import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from edgekit.errors import EdgekitError
from edgekit.frames import images
from edgekit.frames.images import read_label, read_photo, read_rgb, stored_size, turn, write_png


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_png_round_trip(tmp_path, rgb):
    write_png(tmp_path / "c.png", rgb)
    write_png(tmp_path / "g.png", rgb[..., 0])
    np.testing.assert_array_equal(read_rgb(tmp_path / "c.png"), rgb)
    np.testing.assert_array_equal(read_label(tmp_path / "c.png"), rgb)
    np.testing.assert_array_equal(read_label(tmp_path / "g.png"), rgb[..., 0])
    assert read_rgb(tmp_path / "g.png").shape == (20, 30, 3)  # grey photographs become colour
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.png", "g.png"]


def test_arrays_are_writable_and_alpha_is_dropped(tmp_path, rgb):
    rgba = np.dstack([rgb, np.full((20, 30), 7, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    for read in (read_rgb, read_label):
        array = read(tmp_path / "a.png")
        np.testing.assert_array_equal(array, rgb)
        array[0, 0] = 0


UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.rot90(np.fliplr(a)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.fliplr(a), -1),
    8: np.rot90,
}


@pytest.mark.parametrize("options", [{"format": "PNG"}, {"format": "TIFF"}, {"format": "WEBP", "lossless": True}])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_obeyed_by_photographs_and_labels(tmp_path, rgb, orientation, options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "p"
    Image.fromarray(rgb).save(path, exif=exif, **options)
    np.testing.assert_array_equal(read_rgb(path), UPRIGHT[orientation](rgb))
    np.testing.assert_array_equal(read_label(path), UPRIGHT[orientation](rgb))
    np.testing.assert_array_equal(turn(rgb, orientation), UPRIGHT[orientation](rgb))
    assert stored_size(path) == ((20, 30), orientation) == ((20, 30), read_photo(path)[1])


def test_an_orientation_behind_the_pixels_is_obeyed(tmp_path, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(tmp_path / "p.png", exif=exif)
    content = (tmp_path / "p.png").read_bytes()
    start = content.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(content[start : start + 4], "big")
    end = content.index(b"IEND") - 4
    (tmp_path / "p.png").write_bytes(content[:start] + content[stop:end] + content[start:stop] + content[end:])
    np.testing.assert_array_equal(read_rgb(tmp_path / "p.png"), UPRIGHT[6](rgb))
    assert stored_size(tmp_path / "p.png") == ((20, 30), 6)


TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
ODD_TAGS = {
    "text for a number": (0x011A, 2, 4, b"72\0\0"),
    "an offset past the end": (0x010F, 5, 1, struct.pack("<I", 9999)),
    "a type that does not exist": (0x011A, 77, 1, b"abcd"),
    "more values than the file has bytes": (0x011A, 5, 0x7FFFFFFF, b"abcd"),
}


def exif_of(*tags: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block of (tag, type, count, four bytes) as they are, right or wrong."""
    entries = b"".join(struct.pack("<HHI", *tag[:3]) + tag[3] for tag in tags)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


@pytest.mark.filterwarnings("ignore::UserWarning")  # see the next test
@pytest.mark.parametrize("options", [{"format": "JPEG", "quality": 95}, {"format": "WEBP", "lossless": True}])
@pytest.mark.parametrize("odd", ODD_TAGS)
@pytest.mark.parametrize("first", [True, False])
def test_an_odd_tag_beside_the_orientation_changes_nothing(tmp_path, rgb, options, odd, first):
    tags = [ODD_TAGS[odd], TURNED] if first else [TURNED, ODD_TAGS[odd]]
    Image.fromarray(rgb).save(tmp_path / "plain", **options)
    Image.fromarray(rgb).save(tmp_path / "odd", exif=exif_of(*tags), **options)
    np.testing.assert_array_equal(read_rgb(tmp_path / "odd"), UPRIGHT[6](read_rgb(tmp_path / "plain")))


def test_an_odd_tag_prints_no_warning(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "odd.jpg", exif=exif_of(ODD_TAGS["an offset past the end"], TURNED))
    code = f"from edgekit.frames.images import read_rgb; read_rgb({str(tmp_path / 'odd.jpg')!r})"
    found = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr == ""


@given(st.binary(max_size=60), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", exif_of(TURNED)]))
def test_no_metadata_keeps_pixels_from_being_read(tmp_path_factory, noise, start):
    path = tmp_path_factory.getbasetemp() / "noise.png"
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    Image.fromarray(pixels).save(path, exif=start + noise or b"x")
    read = read_rgb(path)
    assert any(np.array_equal(read, turned(pixels)) for turned in UPRIGHT.values())


def test_a_long_comment_is_no_damage(tmp_path, rgb):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 3_000_000, zip=True)
    Image.fromarray(rgb).save(tmp_path / "p.png", pnginfo=info)
    np.testing.assert_array_equal(read_rgb(tmp_path / "p.png"), rgb)


@pytest.mark.parametrize("name", ["p.png", "p.tif"])
def test_sixteen_bits_of_grey_keep_their_upper_eight(tmp_path, name):
    grey = np.array([[0, 255, 256, 128 * 257, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / name)
    assert read_rgb(tmp_path / name)[..., 1].tolist() == [[0, 0, 1, 128, 255]]
    assert (np.ptp(read_rgb(tmp_path / name), axis=-1) == 0).all()


def test_big_endian_sixteen_bits(tmp_path):
    grey = np.array([[0, 300, 65535]], ">u2")
    Image.frombytes("I;16B", (3, 1), grey.tobytes()).save(tmp_path / "p.tif")
    assert read_rgb(tmp_path / "p.tif")[..., 0].tolist() == [[0, 1, 255]]


def test_floats_from_0_to_1_are_a_photograph_and_others_are_refused(tmp_path):
    path = tmp_path / "p.tif"
    Image.fromarray(np.array([[0, 0.25, 0.5, 1]], np.float32)).save(path)
    assert read_rgb(path)[..., 2].tolist() == [[0, 64, 128, 255]]
    for wrong in ([[0, 255.0]], [[-0.1, 0.5]], [[np.nan, 0.5]]):
        Image.fromarray(np.array(wrong, np.float32)).save(path)
        with pytest.raises(EdgekitError, match="only as floats from 0 to 1") as caught:
            read_rgb(path)
        assert caught.value.where == str(path) and "16 bits" in caught.value.fix
    Image.fromarray(np.array([[0, 70000]], np.int32)).save(path)
    with pytest.raises(EdgekitError, match="from 0 to 70000 in 32 bits"):
        read_rgb(path)


def test_float_labels_are_indices_where_they_are_whole(tmp_path):
    Image.fromarray(np.array([[0, 2, 255]], np.float32)).save(tmp_path / "l.tif")
    assert read_label(tmp_path / "l.tif").tolist() == [[0, 2, 255]]
    for wrong in ([[0, 0.5]], [[0, 256]], [[-1, 0]], [[np.nan, 1]]):
        Image.fromarray(np.array(wrong, np.float32)).save(tmp_path / "l.tif")
        with pytest.raises(EdgekitError, match="whole number in 0-255"):
            read_label(tmp_path / "l.tif")


def test_a_large_picture_is_read_and_too_large_a_one_told(tmp_path, rgb, monkeypatch):
    Image.new("L", (9900, 10000)).save(tmp_path / "large.bmp")  # 99 million pixels
    assert read_label(tmp_path / "large.bmp").shape == (10000, 9900)
    monkeypatch.setattr(images.limits, "MOST_PIXELS", 599)
    write_png(tmp_path / "p.png", rgb)
    for read in (read_rgb, read_label, stored_size):
        with pytest.raises(EdgekitError, match="30x20") as caught:
            read(tmp_path / "p.png")
        assert "truncated" not in str(caught.value) and "tiles" in caught.value.fix


def test_palette_labels_give_indices(tmp_path):
    index = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    image = Image.fromarray(index).convert("P")
    image.putdata(index.ravel().tolist())
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    image.save(tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as saved:
        assert saved.mode == "P"
    np.testing.assert_array_equal(read_label(tmp_path / "p.png"), index)
    colours = np.array([[9, 9, 9], [200, 0, 0], [0, 200, 0]], np.uint8)[index]
    np.testing.assert_array_equal(read_label(tmp_path / "p.png", palette_colours=True), colours)


def test_bilevel_labels_give_zero_and_one(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "b.png")
    label = read_label(tmp_path / "b.png")
    assert label.tolist() == [[0, 1]] and label.dtype == np.uint8


def test_sixteen_bit_labels(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint16)).save(tmp_path / "ok.png")
    label = read_label(tmp_path / "ok.png")
    assert label.tolist() == [[0, 255]] and label.dtype == np.uint8
    Image.fromarray(np.array([[0, 256]], np.uint16)).save(tmp_path / "big.png")
    with pytest.raises(EdgekitError, match="from 0 to 256") as caught:
        read_label(tmp_path / "big.png")
    assert caught.value.where.endswith("big.png")


@pytest.mark.parametrize("read", [read_rgb, read_label])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.9])
def test_a_truncated_image_is_named(tmp_path, rgb, read, suffix, keep):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(rgb).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(EdgekitError, match="cannot be read") as caught:
        read(path)
    assert caught.value.where == str(path)


def test_damage_inside_the_data_is_named(tmp_path, rgb):
    path = tmp_path / "bad.png"
    write_png(path, rgb)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(EdgekitError, match="cannot be read"):
        read_rgb(path)


def test_a_missing_image_and_a_text_file(tmp_path):
    with pytest.raises(EdgekitError, match="does not exist"):
        read_rgb(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(EdgekitError, match="cannot be read"):
        read_rgb(tmp_path / "text.png")
    with pytest.raises(EdgekitError, match="is a folder"):
        read_rgb(tmp_path)


@pytest.mark.parametrize("form", ["EPS", "GIF", "ICO", "PCX", "PPM", "SGI", "TGA"])
def test_only_the_formats_that_are_named_are_opened(tmp_path, rgb, form):
    """Whatever the name says: Pillow hands some to other programs, as PostScript to Ghostscript."""
    Image.fromarray(rgb).save(tmp_path / "p.png", form)
    for read in (read_rgb, read_label, stored_size):
        with pytest.raises(EdgekitError, match="cannot be read"):
            read(tmp_path / "p.png")


@pytest.mark.parametrize("array", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2)), np.zeros(4, np.uint8)])
def test_only_images_are_written(tmp_path, array):
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "x.png", array)
    assert list(tmp_path.iterdir()) == []

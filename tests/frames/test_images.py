"""Images: what is read is what was written, and damage is named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgekit.errors import EdgekitError
from edgekit.frames.images import read_label, read_rgb, write_png


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


@pytest.mark.parametrize(
    ("orientation", "undo"),
    [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, lambda a: np.rot90(a))],
)
def test_exif_orientation_is_obeyed(tmp_path, rgb, orientation, undo):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(rgb).save(tmp_path / "p.png", exif=exif)
    np.testing.assert_array_equal(read_rgb(tmp_path / "p.png"), undo(rgb))


def test_palette_labels_give_indices(tmp_path):
    index = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    image = Image.fromarray(index).convert("P")
    image.putdata(index.ravel().tolist())
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    image.save(tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as saved:
        assert saved.mode == "P"
    np.testing.assert_array_equal(read_label(tmp_path / "p.png"), index)


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
    with pytest.raises(EdgekitError, match="cannot be read"):
        read_rgb(tmp_path)  # a folder


@pytest.mark.parametrize("array", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2)), np.zeros(4, np.uint8)])
def test_only_images_are_written(tmp_path, array):
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "x.png", array)
    assert list(tmp_path.iterdir()) == []

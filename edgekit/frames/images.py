"""Reading photographs and label images, writing PNG."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from edgekit import limits
from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write
from edgekit.frames.outside import open_regular

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
"""As Pillow names them, and no others, whatever a file's name says: some would be handed to other programs."""

# Pillow warns of large pictures, refuses larger ones, and takes a long comment for damage. `_opened` has its own limit.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
# What else it warns of is metadata; pixels that cannot be read are an error.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_ORIENTATION = 0x0112


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """A photograph as (H, W, 3) uint8, turned as its EXIF orientation says; an alpha channel is dropped.

    Of 16 bits a channel the upper eight are kept; floats of 0-1 are multiplied by 255. EdgekitError, naming the file,
    when it is missing, truncated or no image, holds other numbers, or has more than limits.MOST_PIXELS pixels.
    """
    return read_photo(path)[0]


def read_photo(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """`read_rgb`, and the EXIF orientation 1-8 by which it was turned."""
    image, orientation = _decoded(path)
    if image.mode[0] in "IF":
        rgb = np.repeat(_grey(image, str(path))[..., None], 3, axis=-1)
    else:
        rgb = np.array(image.convert("RGB"))
    return _upright(rgb, image, orientation), orientation


def read_label(path: str | os.PathLike, *, palette_colours: bool = False) -> np.ndarray:
    """A label image as it is coded: (H, W) uint8 indices, or (H, W, 3) uint8 colours; turned as its EXIF says.

    Grey, palette and bilevel images give indices, 16-bit and float ones too as long as all values are whole and fit 8
    bits. Of a palette image it is the index, or with ``palette_colours`` the colour. An alpha channel is dropped.
    EdgekitError, naming the file, when it is missing, truncated, no image or has other values.
    """
    image, orientation = _decoded(path)
    if image.mode in ("L", "1") or (image.mode == "P" and not palette_colours):
        label = np.array(image).astype(np.uint8, copy=False)
    elif image.mode == "LA":
        label = np.array(image)[..., 0]
    elif image.mode[0] in "IF":
        values = np.asarray(image)
        if not ((values >= 0) & (values <= 255) & (values % 1 == 0)).all():
            raise EdgekitError(
                f"the label image has values from {values.min():g} to {values.max():g}, "
                "and a label is a whole number in 0-255",
                where=str(path),
                fix="renumber the classes, with 255 for ignore",
            )
        label = values.astype(np.uint8)
    else:
        label = np.array(image.convert("RGB"))
    return _upright(label, image, orientation)


def read_values(path: str | os.PathLike) -> np.ndarray:
    """An image of one channel as it is stored: (H, W) of whole numbers, uint8 or wider; turned as its EXIF says.

    EdgekitError, naming the file, when it is missing, truncated, no image or has more channels or other numbers.
    """
    image, orientation = _decoded(path)
    if image.mode != "L" and not image.mode.startswith("I"):
        what = f"the image holds {image.mode}, where one channel of whole numbers is needed"
        raise EdgekitError(what, where=str(path), fix="save it with 16 bits and one channel")
    return _upright(np.array(image), image, orientation)


def stored_size(path: str | os.PathLike) -> tuple[tuple[int, int], int]:
    """((height, width) as the pixels lie in the file, EXIF orientation 1-8); most formats tell without decoding."""
    with _opened(path) as image:
        return _stored_size(image), _orientation(image)


def is_photograph(path: Path, suffixes: Sequence[str] = PHOTO_SUFFIXES) -> bool:
    """By its name; hidden files are other systems' notes about their neighbours."""
    return path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()


def turn(array: np.ndarray, orientation: int) -> np.ndarray:
    """An image (H, W, …) as it lies in a file, turned upright by its EXIF orientation 1-8 (CIPA DC-008)."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def write_png(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write (H, W) or (H, W, 3) uint8 as PNG: the whole file or none. ValueError for any other array."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"expected (H, W) or (H, W, 3) uint8, got {array.shape} {array.dtype}")
    with atomic_write(path) as part:
        Image.fromarray(np.ascontiguousarray(array)).save(part, format="PNG")


def _decoded(path: str | os.PathLike) -> tuple[Image.Image, int]:
    """A fully decoded image and its EXIF orientation: of a TIFF it is lost in loading, of a PNG it may come last."""
    with _opened(path) as image:
        before = _orientation(image) if image.format == "TIFF" else None
        try:
            image.load()
        except Exception as error:
            raise _unreadable(path, error) from error
        return image, before or _orientation(image)


def _upright(array: np.ndarray, image: Image.Image, orientation: int) -> np.ndarray:
    return array if image.format == "TIFF" else turn(array, orientation)  # Pillow turns a TIFF as it loads


def _opened(path: str | os.PathLike) -> Image.Image:
    """An image of which the header is read."""
    try:
        open_regular(path, what="the image", fix="check that it is a file, and that it may be read").close()
        image = Image.open(path, formats=FORMATS)
        height, width = _stored_size(image)
    except FileNotFoundError:
        raise EdgekitError("the image does not exist", where=str(path), fix="check the path") from None
    except EdgekitError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error
    if height * width > limits.MOST_PIXELS:
        image.close()
        raise EdgekitError(
            f"the image has {height * width / 1e6:.0f} million pixels ({width}x{height}), "
            f"and at most {limits.MOST_PIXELS / 1e6:.0f} million are read",
            where=str(path),
            fix=f"cut it into tiles, make it smaller, or set EDGEKIT_MOST_PIXELS={height * width}, where memory allows",
        )
    return image


def _unreadable(path: str | os.PathLike, error: Exception) -> Exception:
    """What Pillow raises for a damaged file is of many types: it depends on the format and on where the damage lies."""
    if isinstance(error, MemoryError):
        return error
    refused = isinstance(error, OSError) and error.errno is not None
    damaged = "copy or export the file again: it may be truncated, or no image at all"
    fix = "check that it is a file, and that it may be read" if refused else damaged
    return EdgekitError(f"the image cannot be read: {error}", where=str(path), fix=fix)


def _grey(image: Image.Image, where: str) -> np.ndarray:
    """(H, W) uint8 of a photograph of one channel of floats or of more than 8 bits."""
    values = np.asarray(image)
    if image.mode == "F" and (values >= 0).all() and (values <= 1).all():
        return np.rint(255 * values).astype(np.uint8)
    sixteen = image.mode != "I" or image.format == "PNG"  # older Pillows open a PNG of 16 bits as I
    if image.mode != "F" and sixteen:
        return (values >> 8).astype(np.uint8)
    raise EdgekitError(
        f"the photograph has values from {values.min():g} to {values.max():g} in 32 bits, "
        "which are read only as floats from 0 to 1",
        where=where,
        fix="save it with 8 or 16 bits a channel",
    )


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) before any turn. Pillow names a TIFF's width by its orientation, its tags do not."""
    if image.format == "TIFF":
        return int(image.tag_v2[257]), int(image.tag_v2[256])
    return image.height, image.width


def _orientation(image: Image.Image) -> int:
    """1-8 as EXIF counts them; 1 where nothing that can be read says otherwise.

    Metadata never decides whether pixels are read: one odd tag keeps Pillow from reading the next, or from any.
    """
    exif = image.info.get("exif")
    try:
        found = _tag(exif.removeprefix(b"Exif\0\0")) if exif else image.getexif().get(_ORIENTATION)
        return int(found) if found in range(1, 9) else 1
    except Exception:
        return 1


def _tag(exif: bytes) -> int | None:
    """The orientation in the first directory of a TIFF structure, None where it has none."""
    order = {b"II": "<", b"MM": ">"}[exif[:2]]
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, form = struct.unpack_from(f"{order}HH", exif, entry)
        if tag == _ORIENTATION:
            return struct.unpack_from(order + {3: "H", 4: "I"}[form], exif, entry + 8)[0]
    return None

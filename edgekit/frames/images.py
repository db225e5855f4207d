"""Reading photographs and label images, writing PNG."""

from __future__ import annotations

import os
import struct

import numpy as np
from PIL import Image, ImageOps

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write

# What Pillow raises for a damaged file depends on the format and on where the damage lies.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """A photograph as (H, W, 3) uint8, turned as its EXIF orientation says; an alpha channel is dropped.

    Raises EdgekitError, naming the file, when it is missing, truncated or no image.
    """
    return np.asarray(_open(path).convert("RGB")).copy()


def read_label(path: str | os.PathLike) -> np.ndarray:
    """A label image as it is coded: (H, W) uint8 indices, or (H, W, 3) uint8 colours.

    Grey, palette and bilevel images give indices (of a palette image the index, not the colour), 16-bit ones too as
    long as all values fit 8 bits. An alpha channel is dropped.
    Raises EdgekitError, naming the file, when it is missing, truncated, no image or has larger values.
    """
    image = _open(path)
    if image.mode in ("L", "P", "1"):
        return np.asarray(image).astype(np.uint8)
    if image.mode == "LA":
        return np.asarray(image)[..., 0].copy()
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 255:
            raise EdgekitError(
                f"the label image has values from {values.min()} to {values.max()}, a label lies in 0-255",
                where=str(path),
                fix="renumber the classes, with 255 for ignore",
            )
        return values.astype(np.uint8)
    return np.asarray(image.convert("RGB")).copy()


def write_png(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write (H, W) or (H, W, 3) uint8 as PNG: the whole file or none. ValueError for any other array."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"expected (H, W) or (H, W, 3) uint8, got {array.shape} {array.dtype}")
    with atomic_write(path) as part:
        Image.fromarray(np.ascontiguousarray(array)).save(part, format="PNG")


def _open(path: str | os.PathLike) -> Image.Image:
    """A fully decoded image, upright."""
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise EdgekitError("the image does not exist", where=str(path), fix="check the path") from None
    except _DAMAGED as error:
        raise EdgekitError(
            f"the image cannot be read: {error}",
            where=str(path),
            fix="copy or export the file again: it may be truncated, or no image at all",
        ) from error

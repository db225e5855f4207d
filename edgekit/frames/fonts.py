"""A font for a text in any script: Pillow's own has the letters of ASCII and few others, and draws boxes for them."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

_SUFFIXES = (".ttf", ".ttc", ".otf")
_NO_LETTER = "\U0010ffff"  # what every font draws as it draws what it lacks


def font_of(text: str, size: int) -> tuple[str, ImageFont.FreeTypeFont]:
    """``text`` and a font of ``size`` pixels that has all its letters: Pillow's own, else one of the system's.

    Where no font has them, those that Pillow's lacks lose their accents, or are spelled as ``\\u5c4b``.
    """
    text = " ".join(text.split())
    own = _own(size)
    lacking = _lacking(own, text)
    if not lacking:
        return text, own
    file = _file_with("".join(sorted(set(text))))
    if file is not None:
        return text, _loaded(file, size)
    return "".join(_spelled(letter) if letter in lacking else letter for letter in text), own


def _spelled(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return plain or letter.encode("ascii", "backslashreplace").decode()


@lru_cache(maxsize=64)
def _own(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=64)
def _loaded(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), size)


@lru_cache(maxsize=64)
def _file_with(letters: str) -> Path | None:
    for file in _files():
        with contextlib.suppress(OSError):
            if not _lacking(_loaded(file, 16), letters):
                return file
    return None


@lru_cache(maxsize=1)
def _files() -> tuple[Path, ...]:
    """The system's fonts, upright ones of a usual weight first."""

    def folders() -> Iterator[Path]:
        yield from map(Path, ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts"))
        yield Path(os.environ.get("WINDIR", "/nowhere"), "Fonts")
        yield from (Path(os.path.expanduser("~"), name) for name in (".fonts", ".local/share/fonts"))

    found = [
        Path(place, name)
        for folder in folders()
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(_SUFFIXES)
    ]
    special = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "condensed", "serif", "math")
    return tuple(sorted(found, key=lambda file: (any(word in file.name.lower() for word in special), file)))


@lru_cache(maxsize=256)
def _lacking(font: ImageFont.FreeTypeFont, text: str) -> frozenset[str]:
    """The letters that the font draws as it draws what it does not have."""
    if text.isascii():
        return frozenset()
    box = _drawn(font, _NO_LETTER)
    return frozenset(letter for letter in text if not letter.isspace() and _drawn(font, letter) == box)


def _drawn(font: ImageFont.FreeTypeFont, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)

"""Letters of any script are drawn as themselves or spelled out, never as the box of a letter that a font lacks."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from edgekit.frames import fonts
from edgekit.frames.fonts import font_of
from edgekit.frames.grid import grid
from edgekit.runtime.legend import legend
from edgekit.tasks import Task

WORDS = ["roof", "dach ü", "крыша", "στέγη", "屋根", "지붕", "छत", "سقف", "גג", "Ω ≥ 5 m²", "a\nb"]


@pytest.fixture
def no_fonts(monkeypatch):
    """A board without any font of its own."""
    monkeypatch.setattr(fonts, "_files", lambda: ())
    fonts._file_with.cache_clear()
    yield
    fonts._file_with.cache_clear()


def pixels(text: str, font: ImageFont.FreeTypeFont) -> bytes:
    image = Image.new("L", (60, 60))
    ImageDraw.Draw(image).text((5, 5), text, font=font, fill=255)
    return image.tobytes()


def has_box(text: str, font: ImageFont.FreeTypeFont) -> bool:
    """Whether any letter is drawn as one that no font has: an unassigned code point, and another."""
    boxes = {pixels("\U0010ffff", font), pixels("\U000e1000", font)}
    return any(pixels(letter, font) in boxes for letter in text if letter != " ")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("size", [10, 24])
def test_no_letter_is_a_box(word, size):
    text, font = font_of(word, size)
    assert not has_box(text, font) and "\n" not in text
    assert text == " ".join(word.split()) or text.isascii()


@pytest.mark.parametrize("word", WORDS)
def test_no_letter_is_a_box_where_there_are_no_fonts(no_fonts, word):
    text, font = font_of(word, 20)
    assert not has_box(text, font)


def test_letters_without_a_font_are_spelled(no_fonts):
    assert font_of("屋根", 20)[0] == r"\u5c4b\u6839"
    assert font_of("roof 1", 20)[0] == "roof 1"
    # of the same width in every font size, so that it is the same text
    assert {font_of("屋 крыша", size)[0] for size in (10, 20, 40)} == {font_of("屋 крыша", 30)[0]}


def test_a_font_of_the_system_is_taken_where_it_has_the_letters():
    files = [file for file in fonts._files() if file.name == "DejaVuSans.ttf"]
    if not files:
        pytest.skip("no DejaVu Sans here")
    for word in ("крыша", "στέγη", "סופה"):
        text, font = font_of(word, 20)
        assert text == word and font.getname() == ("DejaVu Sans", "Book")


@pytest.mark.parametrize("name", ["屋根", "крыша", "a|b", "[red]"])
def test_legends_and_grids_tell_names_apart(no_fonts, name):
    """Where all were boxes, names of one length looked the same."""
    other = name[:-1] + ("x" if name.isascii() else "水")
    shown = np.zeros((40, 40), np.uint8)
    drawn = [legend(Task("s", "semantic", classes=(own, "sky")), shown, 20) for own in (name, other)]
    assert drawn[0].shape != drawn[1].shape or (drawn[0] != drawn[1]).any()
    picture = np.zeros((200, 300, 3), np.uint8)
    titled = [grid([[picture]], [own], [own]) for own in (name, other)]
    assert (titled[0] != titled[1]).any()

"""A name from outside names something inside a folder, or is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgekit import limits
from edgekit.errors import EdgekitError
from edgekit.frames.names import component, components, plain

USUAL = ["semantic", "buildings(nearby)", "river bed", "norsand_DJI_0708_12", "Fluß", "森林", "a.b-c+d", "r&d", "_x"]
HOSTILE = [
    "", ".", "..", "/etc/passwd", "a/b", "a\\b", "..\\x", "a\0b", "a\nb", "a\x1b[31m", "a\x7fb", "a\x9bb", "\ud800",
    ".hidden", ".part-abcdefgh", "a.", "a ", " a", "CON", "nul.txt", "Com1", "LPT9.tar.gz", "a\u202egnp", "a\u2028b",
    "x" * 201, "ß" * 101, None, 3, True, ["a"], b"a",
]  # fmt: skip


@pytest.mark.parametrize("name", USUAL)
def test_usual_names_stay_what_they_are(name):
    assert component(name) == name and components(f"{name}/{name}") == f"{name}/{name}"


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_others_are_refused_in_a_sentence(name):
    with pytest.raises(EdgekitError, match=r"the task .* cannot name a file") as caught:
        component(name, what="the task", where="student.pt")
    assert caught.value.where == "student.pt" and caught.value.fix
    assert "\n" not in caught.value.what and len(caught.value.what) < 400


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "a/b"], ids=repr)
def test_every_part_of_a_path_is_looked_at(name):
    for path in (name, f"a/{name}/b") if isinstance(name, str) else (name,):
        with pytest.raises(EdgekitError):
            components(path)


@given(st.text(max_size=40) | st.text(alphabet="./\\\0\n ab~-", max_size=8))
def test_what_passes_stays_inside_its_folder(name):
    try:
        component(name)
    except EdgekitError:
        return
    folder = Path("/some/folder")
    assert os.path.normpath(folder / f"{name}.png") == str(folder / f"{name}.png")
    assert Path(folder, name).parent == folder and "\0" not in name and len(f"{name}.png".encode()) < 255


@given(st.text(max_size=300))
def test_a_plain_name_can_be_made_of_any(name):
    made = plain(name)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", made) and len(made) <= limits.NAME_BYTES + 1
    assert component(made) == made


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,30}[A-Za-z0-9]", fullmatch=True))
def test_a_plain_name_stays_what_it_is(name):
    assume(
        name.partition(".")[0].lower() not in ("con", "prn", "aux", "nul") and name[:3].lower() not in ("com", "lpt")
    )
    assume(name == name.strip("_.-+"))
    assert plain(name) == name

"""`edgekit data select` as a command: its list is what recipes and calibration read, and its page shows the choice."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.frames.images import read_rgb, write_png
from edgekit.pipeline.selection import candidates_of
from edgekit.pipeline.subject import calibrate_with, subject_of
from edgekit.pipeline.workbench import open_data
from edgekit.recipe.load import find_recipe


@pytest.fixture
def folder(tmp_path, draw):
    """Two sub-folders of photographs, one of which is damaged."""
    for i in range(6):
        draw(tmp_path / "photos" / f"film{i % 2}", f"p{i}", i)
        for label in (tmp_path / "photos" / f"film{i % 2}" / "labels").iterdir():
            label.unlink()
    (tmp_path / "photos/film0/images/p4.png").write_bytes(b"\x89PNG cut")
    return tmp_path / "photos"


def select(capsys, *args):
    code = main(["data", "select", *map(str, args)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_photographs_become_a_list_a_page_and_pictures(folder, tmp_path, capsys):
    out = tmp_path / "chosen.txt"
    code, text, _ = select(capsys, folder, "--count", "3", "--out", out, "--images", tmp_path / "png", "--json")
    assert code == 0
    found = json.loads(text)
    names = out.read_text().splitlines()
    assert names == [c["frame"] for c in found["chosen"]] and len(set(names)) == 3
    assert {c["relevance"] for c in found["chosen"]} == {None}  # nothing is predicted
    assert found["frames"] == 5 and [bad["frame"] for bad in found["unread"]] == ["film0/images/p4.png"]
    for name in names:
        np.testing.assert_array_equal(read_rgb(tmp_path / "png" / name), read_rgb(folder / name))
    page = (tmp_path / "chosen.txt.html").read_text()
    shown = re.findall(r'<img src="data:image/jpeg;base64,[^"]+" width="192" height="128" alt="([^"]*)"', page)
    assert shown == names
    assert page.count('class="chosen"') == 3 + 3 and "p4.png: " in page  # lines of scenes, and dots
    assert not re.search(r"<script|<link|https?://(?!www\.w3\.org)|@import|url\(", page)
    # the same command gives the same files; and more frames go on where fewer ended
    page_before = page
    assert select(capsys, folder, "--count", "3", "--out", out)[0] == 0
    assert out.read_text().splitlines() == names and (tmp_path / "chosen.txt.html").read_text() == page_before
    code, text, _ = select(capsys, folder, "--count", "2", "--out", out, "--keep", out, "--json")
    assert code == 0 and out.read_text().splitlines() == [*names, *(c["frame"] for c in json.loads(text)["chosen"])]
    assert len(set(out.read_text().split())) == 5


def test_what_cannot_be_done_is_said_in_one_sentence(folder, tmp_path, capsys):
    out = tmp_path / "chosen.txt"
    listed = tmp_path / "keep.txt"
    listed.write_text("film0/images/p0.png\nfilm0/images/p77.png\n")
    (tmp_path / "empty").mkdir()
    for args, said in (
        ((folder, "--count", "6"), "6 frames are asked for, and 5 can be chosen"),
        ((folder, "--count", "1", "--keep", listed), "keep.txt, line 2"),
        ((folder, "--count", "1", "--keep", tmp_path / "none"), "does not exist"),
        ((folder, "--count", "1", "--set", "name=x"), "--set changes a recipe"),
        ((folder, "--count", "1", "--weights", "sharpness=1"), "'sharpness=1' is not NAME=NUMBER"),
        ((folder, "--count", "1", "--weights", "quality=nan"), "'quality=nan' is not NAME=NUMBER"),
        ((folder, "--count", "0"), "0 is not in the range"),
        ((tmp_path / "empty", "--count", "1"), "has no photographs"),
        ((tmp_path / "nowhere", "--count", "1"), "nowhere"),
    ):
        code, _, err = select(capsys, *args, "--out", out)
        assert code != 0 and said in " ".join(err.split()), (args, err)
        assert "Traceback" not in err and not out.exists()
    odd = tmp_path / "odd"
    write_png(odd / "#1.png", np.zeros((8, 8, 3), np.uint8))
    code, _, err = select(capsys, odd, "--count", "1", "--out", out)
    assert code != 0 and "cannot hold the name '#1.png'" in err


def test_a_recipe_learns_from_the_list_and_calibration_takes_it(first, photographs, tmp_path, capsys):
    out = tmp_path / "chosen.txt"
    recipe = first.recipe
    assert select(capsys, recipe, "--count", "3", "--out", out)[0] == 0
    names = out.read_text().splitlines()
    config, base = find_recipe(recipe, [f"data.labelled={out}"])
    assert {f.name for f in open_data(config, base).frames("train") if f.labelled} == set(names)
    subject = subject_of(first.run)
    assert calibrate_with(subject, str(out)) == 3 and [shot.name for shot in subject.calibration] == names
    (tmp_path / "empty.txt").write_text("# none\n")
    (tmp_path / "wrong.txt").write_text("f0\nf8\n")  # f8 is in val
    for file, said in (("empty.txt", "names no frame"), ("wrong.txt", "no frame 'f8'")):
        with pytest.raises(EdgekitError, match=said):
            calibrate_with(subject_of(first.run), str(tmp_path / file))


def test_a_run_adds_what_its_ensemble_predicted(first, tmp_path, capsys):
    candidates = candidates_of(first.run)
    assert [c.name for c in candidates] == [f"f{i}" for i in range(8)]
    for said in (c.predicted() for c in candidates):
        assert len(said.disagreement) == 1 and 0 <= said.disagreement[0] <= 1
        np.testing.assert_allclose(said.classes[0].sum(axis=-1), 1, atol=0.03)
    out = tmp_path / "chosen.txt"
    code, text, _ = select(capsys, first.run, "--count", "2", "--out", out, "--json")
    assert code == 0 and all(0.5 <= c["relevance"] <= 1 for c in json.loads(text)["chosen"])


def test_a_run_without_targets_says_how_to_go_on(copied, tmp_path, capsys):
    for stage in (copied.root / "stages").glob("targets-*"):
        (stage / "done.json").unlink()
    code, _, err = select(capsys, copied.run, "--count", "2", "--out", tmp_path / "chosen.txt")
    assert code != 0 and "has not predicted the train frames yet" in " ".join(err.split())

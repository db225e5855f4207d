"""`edgekit students`: what each student costs."""

from __future__ import annotations

import json

import pytest
import torch

from edgekit.cli.main import main
from edgekit.students import listing
from edgekit.students.registry import PARAMETER_LIMIT, STUDENTS


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(listing, "_SECONDS", 0.001)


def test_every_student_is_listed_with_its_costs(capsys):
    threads = torch.get_num_threads()
    assert main(["students", "--size", "64x96", "--classes", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["size"], found["classes"], found["threads"]) == ("64x96", 5, 1)
    assert [row["name"] for row in found["students"]] == list(STUDENTS)
    for row in found["students"]:
        assert 0 < row["parameters_fused"] <= row["parameters"] <= PARAMETER_LIMIT
        assert row["latency_ms"] > 0 and row["multiply_adds"] > 0 and row["about"]
    assert torch.get_num_threads() == threads


def test_multiply_adds_grow_with_the_pixels_and_parameters_do_not():
    small, large = (listing.list_students(size, 8, 1) for size in ((32, 48), (64, 96)))
    for a, b in zip(small, large, strict=True):
        assert b["multiply_adds"] == pytest.approx(4 * a["multiply_adds"], rel=0.02)
        assert a["parameters"] == b["parameters"]


def test_the_table_names_them_all(capsys):
    assert main(["students", "--size", "32x32"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in STUDENTS) and "students at 32x32" in out


@pytest.mark.parametrize(
    "text", ["", "544", "544x", "x960", "544x960x3", "-544x960", "0x0", "00x64", "64x08", "544x 960"]
)
def test_what_is_no_size_is_refused(text, capsys):
    assert main(["students", f"--size={text}"]) == 2
    assert "544x960" in capsys.readouterr().err

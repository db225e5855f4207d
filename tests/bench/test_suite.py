"""Suites: the YAML, the grid, power modes, and going on after a kill."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edgekit.bench.campaign import RowFailure, bundle_digests, measure_in_child, run_suite
from edgekit.bench.power import find_mode, parse_power_modes
from edgekit.bench.rows import RowFile, parse_rows
from edgekit.bench.suite import Suite, read_suite
from edgekit.bench.telemetry.system import Ran, System
from edgekit.boards.power import PowerMode
from edgekit.errors import EdgekitError

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "benchmarks" / "device_suite.yaml"
LEAST = {"name": "s", "bundle": "b/{student}", "students": ["x"], "sizes": ["64x96"], "precisions": ["int8"]}
MODES = "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"


def write(tmp_path: Path, **keys) -> Path:
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in {**LEAST, **keys}.items() if v is not None}))
    return path


def test_the_shipped_suite_is_every_combination():
    suite = read_suite(SHIPPED)
    cells = suite.cells()
    assert len(cells) == 3 * 2 * 2 * 3 and len(set(cells)) == len(cells)
    wanted = itertools.product(suite.power_modes, suite.students, suite.sizes, suite.precisions)
    assert [(c.power_mode, c.student, c.size, c.precision) for c in cells] == list(wanted)
    assert cells[0].bundle == str(SHIPPED.parent / "../bundles/repseg-544x960")
    assert len({c.label for c in cells}) == len(cells)
    assert len({c.key("digest", suite.plan) for c in cells}) == len(cells)


def test_a_key_changes_with_what_matters(tmp_path):
    suite = read_suite(write(tmp_path))
    (cell,) = suite.cells()
    keys = {cell.key("a", suite.plan), cell.key("b", suite.plan)}
    keys.add(read_suite(write(tmp_path, runs=7)).cells()[0].key("a", read_suite(write(tmp_path, runs=7)).plan))
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("keys", "where", "what"),
    [
        ({"student": ["x"]}, "student", "no such key"),
        ({"students": None}, "students", "missing"),
        ({"students": "x"}, "students", "not a list"),
        ({"students": []}, "students", "not a list"),
        ({"students": ["x", "x"]}, "students", "twice"),
        ({"sizes": ["big"]}, "sizes", "'big' is not HEIGHTxWIDTH"),
        ({"sizes": [544]}, "sizes", "544 is not HEIGHTxWIDTH"),
        ({"precisions": ["int4"]}, "precisions", "'int4' is not one of fp32, fp16, int8"),
        ({"threads": [0]}, "threads", "0 is not a whole number"),
        ({"threads": [True]}, "threads", "True is not a whole number"),
        ({"lock_clocks": "yes please"}, "lock_clocks", "not true or false"),
        ({"duration": -1}, "duration", "-1 is not a number of seconds"),
        ({"runs": 0}, "runs", "0 is not a whole number"),
        ({"runs": 2.5}, "runs", "2.5 is not a whole number"),
        ({"bundle": "b/{studnet}"}, "bundle", "cannot be filled"),
        ({"bundle": "b/{"}, "bundle", "cannot be filled"),
        ({"bundle": "b/{student.__class__}"}, "bundle", "cannot be filled"),
        ({"power_modes": [True]}, "power_modes", "True is not a name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, keys, where, what):
    path = write(tmp_path, **keys)
    with pytest.raises(EdgekitError, match=what) as error:
        read_suite(path)
    assert error.value.where == f"{path}: {where}" and error.value.fix


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "\x00", "just text"])
def test_what_is_no_suite(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(EdgekitError) as error:
        read_suite(path)
    assert str(path) in error.value.where


def test_a_missing_suite_and_missing_bundles(tmp_path):
    with pytest.raises(EdgekitError, match="does not exist"):
        read_suite(tmp_path / "none.yaml")
    suite = read_suite(write(tmp_path, students=["x", "y", "z"]))
    with pytest.raises(EdgekitError, match=r"no bundle here \(and 2 more bundles") as error:
        bundle_digests(suite)
    assert error.value.where == str(tmp_path / "b/x")


class Jetson(System):
    """A board with three power modes; those in ``reboot`` it will not enter live."""

    def __init__(self, root: Path, now: str = "15W", *, root_user: bool = True, reboot: tuple[str, ...] = ()):
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc/nvpmodel.conf").write_text(MODES)
        super().__init__(root)
        self.now, self.root_user, self.reboot = now, root_user, reboot
        self.said: list[tuple[str, ...]] = []

    @property
    def is_root(self):
        return self.root_user

    def has(self, program):
        return program in ("nvpmodel", "jetson_clocks")

    def run(self, *argv, answer="", timeout=20.0):
        modes = {m.id: m.name for m in parse_power_modes(MODES)}
        if argv == ("nvpmodel", "-q"):
            number = next(i for i, name in modes.items() if name == self.now)
            return Ran(0, f"NV Power Mode: {self.now}\n{number}\n")
        assert self.root_user, "changing anything needs root"
        self.said.append(argv)
        if argv[0] == "jetson_clocks":
            return Ran(0)
        wanted = modes[int(argv[2])]
        if wanted in self.reboot:
            assert answer == "no\n"  # it asks, and would wait for ever
            return Ran(
                255,
                f"NVPM WARN: Reboot required for changing to this power mode: {argv[2]}\n"
                "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:\nNVPM ERROR: optMask is 1",
            )
        self.now = wanted
        return Ran(0)


def suite(**keys) -> Suite:
    found = {"students": ("x", "y"), "sizes": ("64x96",), "precisions": ("int8",), "power_modes": ("MAXN_SUPER", "15W")}
    return Suite("s", "b", **{**found, **keys})


def fine(cell, suite):
    return {"schema": 1, "timings": {"end_to_end": {"p50": 1.0, "p99": 2.0}}}


def labels(path: Path) -> list[str]:
    return [row["label"] for row in parse_rows(path.read_text(), "")]


DIGESTS = {"b": "0"}


def test_the_present_mode_first_and_no_row_twice(tmp_path):
    board, path = Jetson(tmp_path), tmp_path / "rows.jsonl"
    with RowFile(path) as file:
        outcome = run_suite(suite(lock_clocks=True), file, DIGESTS, system=board, measure=fine)
    assert (outcome.measured, outcome.left, outcome.interruption) == (4, 0, None)
    modes = [label.split()[-1] for label in labels(path)]
    assert modes == ["15W", "15W", "MAXN_SUPER", "MAXN_SUPER"]
    assert board.said == [("jetson_clocks",), ("nvpmodel", "-m", "2"), ("jetson_clocks",)]
    with RowFile(path) as file:
        again = run_suite(suite(lock_clocks=True), file, DIGESTS, system=board, measure=None)
    assert (again.measured, again.already) == (0, 4) and len(labels(path)) == 4
    with RowFile(path) as file:
        other = run_suite(suite(), file, {"b": "another bundle"}, system=board, measure=fine)
    assert other.measured == 4


def test_a_reboot_is_asked_for_and_gone_on_after(tmp_path):
    board, path = Jetson(tmp_path, reboot=("MAXN_SUPER",)), tmp_path / "rows.jsonl"
    with RowFile(path) as file:
        outcome = run_suite(suite(), file, DIGESTS, system=board, measure=fine)
    assert (outcome.measured, outcome.left) == (2, 2)
    assert "needs a reboot: run `sudo nvpmodel -m 2`" in outcome.interruption
    rebooted = Jetson(tmp_path, now="MAXN_SUPER")
    with RowFile(path) as file:
        outcome = run_suite(suite(), file, DIGESTS, system=rebooted, measure=fine)
    assert (outcome.measured, outcome.already, outcome.left, outcome.interruption) == (2, 2, 0, None)
    assert rebooted.said == []


def test_without_root_it_says_what_to_do(tmp_path):
    board, path, said = Jetson(tmp_path, root_user=False), tmp_path / "rows.jsonl", []
    with RowFile(path) as file:
        outcome = run_suite(suite(lock_clocks=True), file, DIGESTS, system=board, measure=fine, say=said.append)
    assert outcome.measured == 2 and "needs root: run `sudo nvpmodel -m 2`" in outcome.interruption
    assert any("clocks were not locked, which needs root" in line for line in said)


def test_a_mode_that_does_not_exist_is_refused_before_anything_runs(tmp_path):
    path = tmp_path / "rows.jsonl"
    with RowFile(path) as file, pytest.raises(EdgekitError, match="no power mode '30W'") as error:
        run_suite(suite(power_modes=("15W", "30W")), file, DIGESTS, system=Jetson(tmp_path), measure=fine)
    assert "MAXN_SUPER (2)" in error.value.fix and path.read_text() == ""


def test_modes_by_name_and_by_id(tmp_path):
    board = Jetson(tmp_path)
    assert find_mode(board, "maxn_super") == find_mode(board, "2") == PowerMode("MAXN_SUPER", 2)

    class Plain(System):
        def has(self, program):
            return False

    with pytest.raises(EdgekitError, match="not a Jetson"):
        find_mode(Plain(tmp_path), "15W")


def test_a_mode_that_will_not_change_is_an_error(tmp_path):
    class Stubborn(Jetson):
        def run(self, *argv, **options):
            return Ran(1, "", "NVPM ERROR: failed to set power mode") if "-m" in argv else super().run(*argv, **options)

    with RowFile(tmp_path / "rows.jsonl") as file, pytest.raises(EdgekitError, match="failed to set power mode"):
        run_suite(suite(), file, DIGESTS, system=Stubborn(tmp_path), measure=fine)


def test_a_failed_row_stops_no_other_and_is_tried_again(tmp_path):
    path = tmp_path / "rows.jsonl"

    def half(cell, suite):
        if cell.student == "x":
            raise RowFailure({"what": "no engine", "where": None, "fix": "build one"})
        return fine(cell, suite)

    with RowFile(path) as file:
        outcome = run_suite(suite(power_modes=()), file, DIGESTS, system=Jetson(tmp_path), measure=half)
    assert (outcome.measured, outcome.failed, outcome.left) == (1, 1, 0)
    assert [row["error"] and row["error"]["fix"] for row in parse_rows(path.read_text(), "")] == ["build one", None]
    with RowFile(path) as file:
        outcome = run_suite(suite(power_modes=()), file, DIGESTS, system=Jetson(tmp_path), measure=fine)
    assert (outcome.measured, outcome.already) == (1, 1)


def test_every_finished_row_survives_a_kill(tmp_path):
    path, count = tmp_path / "rows.jsonl", 0

    def killed(cell, suite):
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return fine(cell, suite)

    with RowFile(path) as file, pytest.raises(KeyboardInterrupt):
        run_suite(suite(), file, DIGESTS, system=Jetson(tmp_path), measure=killed)
    assert len(labels(path)) == 1
    with RowFile(path) as file:
        outcome = run_suite(suite(), file, DIGESTS, system=Jetson(tmp_path), measure=fine)
    assert (outcome.measured, outcome.already) == (3, 1)


def cell_of(bundle: Path):
    found = Suite("s", str(bundle), ("mean",), ("64x96",), ("int8",), warm_up=0.0, duration=0.0, runs=5)
    return found.cells()[0], found


def test_a_row_is_measured_by_a_process_of_its_own(tiny_bundle):
    document = measure_in_child(*cell_of(tiny_bundle))
    assert document["subject"]["student"] == "mean" and document["timings"]["end_to_end"]["count"] == 5


def test_what_a_process_says_of_its_failure_is_kept(tmp_path):
    with pytest.raises(RowFailure) as failure:
        measure_in_child(*cell_of(tmp_path / "none"))
    assert failure.value.error["what"] == "there is no bundle here"
    assert failure.value.error["where"] == str(tmp_path / "none")


@pytest.mark.parametrize(
    ("program", "what"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
        ("import sys; print('bus error', file=sys.stderr); sys.exit(3)", "ended with 3: bus error"),
        ("print('[1]')", "ended with 0"),
    ],
)
def test_a_process_that_dies_is_a_failed_row(monkeypatch, tmp_path, program, what):
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda argv, **options: run([sys.executable, "-c", program], **options))
    with pytest.raises(RowFailure, match=what):
        measure_in_child(*cell_of(tmp_path))


def test_rows_are_json_that_names_the_cell(tmp_path):
    path = tmp_path / "rows.jsonl"
    with RowFile(path) as file:
        run_suite(suite(power_modes=(), threads=(2,)), file, DIGESTS, system=Jetson(tmp_path), measure=fine)
    row = json.loads(path.read_text().splitlines()[0])
    assert row["label"] == "x 64×96 int8 onnxruntime 2 threads" and row["cell"]["threads"] == 2 and row["suite"] == "s"

"""A suite's rows: none that was finished is lost, and a broken end does no harm."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgekit.bench.document import read_measurements, timing
from edgekit.bench.rows import RowFile, latest, parse_rows
from edgekit.errors import EdgekitError

WHOLE = '{"schema": %s, "subject": {}, "machine": {}, "timings": %s}'


def row(key: str, status: str = "done", p50: float = 5.0) -> dict:
    document = {"schema": 1, "subject": {}, "machine": {}, "timings": {"graph": timing("graph", np.full(3, p50))}}
    done = status == "done"
    return {
        "schema": 1,
        "key": key,
        "label": f"label {key}",
        "cell": {},
        "status": status,
        "measurement": document if done else None,
        "error": None if done else {"what": "no", "where": None, "fix": None},
    }


def test_rows_are_on_disk_at_once_and_read_again(tmp_path):
    path = tmp_path / "deep" / "rows.jsonl"
    with RowFile(path) as file:
        file.append(row("a"))
        assert len(parse_rows(path.read_text(), "")) == 1  # before it is closed
        file.append(row("b", "failed"))
    with RowFile(path) as file:
        assert [r["key"] for r in file.rows] == ["a", "b"] and file.done == {"a"}


@pytest.mark.parametrize("cut", [1, 20, 150])
def test_a_row_that_a_kill_cut_off_is_dropped(tmp_path, cut):
    path = tmp_path / "rows.jsonl"
    with RowFile(path) as file:
        file.append(row("a"))
    whole = path.read_text()
    path.write_text(whole + json.dumps(row("b"))[:cut])
    with RowFile(path) as file:
        assert file.done == {"a"}
        file.append(row("c"))
    assert [r["key"] for r in parse_rows(path.read_text(), "")] == ["a", "c"]
    assert path.read_text().startswith(whole)


def test_a_whole_line_that_is_no_row_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "rows.jsonl"
    for wrong in (
        "{}",
        "no json",
        json.dumps({**row("a"), "schema": 2}),
        json.dumps({**row("a"), "measurement": None}),
        "[]",
    ):
        path.write_text(json.dumps(row("a")) + "\n" + wrong + "\n")
        with pytest.raises(EdgekitError) as error, RowFile(path):
            pass
        assert error.value.where == f"{path}:2"
    assert path.read_text().endswith("[]\n")  # and it is left as it was


def test_two_suites_do_not_write_one_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    with RowFile(path), pytest.raises(EdgekitError, match="another suite"), RowFile(path):
        pass
    with RowFile(path):
        pass


def test_the_last_row_of_a_key_counts():
    rows = [row("a", "failed"), row("b"), row("a", p50=7.0)]
    assert [(r["key"], r["status"]) for r in latest(rows)] == [("a", "done"), ("b", "done")]


def test_rows_are_measurements_to_compare(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in (row("a"), row("b", "failed"), row("a", p50=7.0))))
    found = read_measurements(path)
    assert list(found) == ["label a"] and found["label a"]["timings"]["graph"]["p50"] == 7.0


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.json", "{", "no JSON"),
        ("a.json", "[1]", "not a measurement"),
        ("a.json", '{"timings": [1], "schema": 1}', "not a measurement"),
        ("a.json", '{"timings": {}, "schema": 1}', "what was measured"),
        ("a.json", WHOLE % (9, "{}"), "schema 9"),
        ("a.json", WHOLE % (1, '{"graph": {}}'), "'graph' has no samples"),
        ("a.json", WHOLE % (1, '{"graph": {"samples_ms": []}}'), "'graph' has no samples"),
        ("a.json", WHOLE % (1, '{"graph": {"samples_ms": [1, "x"]}}'), "'graph' has no samples"),
        ("a.jsonl", "{}\n", "not a row"),
    ],
)
def test_what_is_no_measurement_is_named(tmp_path, name, text, what):
    (tmp_path / name).write_text(text)
    with pytest.raises(EdgekitError, match=what) as error:
        read_measurements(tmp_path / name)
    assert str(tmp_path / name) in error.value.where and error.value.fix


def test_a_missing_file(tmp_path):
    with pytest.raises(EdgekitError, match="does not exist"):
        read_measurements(tmp_path / "none.json")

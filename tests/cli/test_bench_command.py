"""`edgekit bench` and its commands, as typed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgekit.bench import command as bench
from edgekit.bench.document import timing
from edgekit.cli.main import main

FAST = ["--duration", "0", "--runs", "40", "--warm-up", "0", "--threads", "1"]


@pytest.fixture
def warm(monkeypatch):
    """No process of its own for the cold start; tests/bench looks at that."""
    found = {"seconds": 1.0, "import_s": 0.2, "load_s": 0.3, "first_s": 0.4, "peak_mib": 77.0}
    monkeypatch.setattr(bench, "cold_start", lambda options: dict(found))


def test_a_bundle_is_measured_without_the_word(tiny_bundle, warm, capsys):
    assert main(["bench", str(tiny_bundle), *FAST]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    for word in ("end to end", "graph", "p99", "jitter", "throughput", "77 MiB", "1.00 s to the first result", "int8"):
        assert word in said.out


@pytest.mark.parametrize("words", [["bench", "measure"], ["bench"]])
def test_json_is_one_document(tiny_bundle, warm, capsys, words):
    assert main([*words, *FAST, str(tiny_bundle), "--json", "--precision", "fp32"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["subject"]["precision"] == "fp32" and found["timings"]["graph"]["count"] == 40
    assert found["memory"] == {"peak_mib": 77.0} and found["start_up"]["seconds"] == 1.0


def test_output_is_what_compare_reads(tiny_bundle, warm, capsys, tmp_path):
    file = tmp_path / "a.json"
    assert main(["bench", str(tiny_bundle), *FAST, "--output", str(file), "--json"]) == 0
    assert json.loads(file.read_text()) == json.loads(capsys.readouterr().out)
    assert main(["bench", "compare", str(file), str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["regressions"] == 0 and found["pairs"][0]["findings"][0]["ratio"] == 1.0


def measurement(path, median: float, count: int = 100):
    values = median * np.exp(0.02 * np.random.default_rng(int(median)).normal(size=count))
    subject = {"student": "mean", "size": [64, 96], "precision": "int8", "backend": "onnxruntime", "threads": 1}
    path.write_text(
        json.dumps(
            {"schema": 1, "subject": subject, "machine": {}, "marks": [], "timings": {"graph": timing("graph", values)}}
        )
    )
    return str(path)


def test_a_regression_is_exit_code_1(capsys, tmp_path):
    a, b = measurement(tmp_path / "a.json", 20), measurement(tmp_path / "b.json", 23)
    assert main(["bench", "compare", a, b]) == 1
    said = capsys.readouterr().out
    assert "regression" in said and "Rule: the ratio of the medians" in said and "1.030" in said
    assert main(["bench", "compare", b, a]) == 0
    assert "improvement" in capsys.readouterr().out
    assert main(["bench", "compare", a, b, "--effect", "0.3"]) == 0


def test_too_few_runs_are_refused(capsys, tmp_path):
    a, b = measurement(tmp_path / "a.json", 20), measurement(tmp_path / "b.json", 23, 10)
    assert main(["bench", "compare", a, b]) == 2
    assert "10 runs are too few" in capsys.readouterr().err


def test_suite_and_report(tiny_bundle, capsys, tmp_path):
    (tmp_path / "s.yaml").write_text(
        f"name: tiny\nbundle: {tiny_bundle}\nstudents: [mean]\nsizes: [64x96]\nprecisions: [fp32]\n"
        "threads: [1]\nwarm_up: 0\nduration: 0\nruns: 40\n"
    )
    rows = tmp_path / "rows.jsonl"
    assert main(["bench", "suite", str(tmp_path / "s.yaml"), "--output", str(rows), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "suite": "tiny", "file": str(rows), "measured": 1, "already": 0, "failed": 0, "left": 0, "interruption": None,
    }  # fmt: skip
    assert "mean 64×96 fp32 onnxruntime 1 thread: p50" in said.err
    assert main(["bench", "suite", str(tmp_path / "s.yaml"), "--output", str(rows)]) == 0
    assert "0 rows measured, 1 before" in capsys.readouterr().out
    assert main(["bench", "report", str(rows)]) == 0
    assert "| mean | 64×96 | fp32 |" in capsys.readouterr().out
    assert main(["bench", "report", str(rows), "--html", str(tmp_path / "r.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == [str(tmp_path / "r.html")]
    assert "<svg" in (tmp_path / "r.html").read_text()


def test_failed_rows_are_exit_code_1(tiny_bundle, capsys, tmp_path):
    (tmp_path / "s.yaml").write_text(
        f"name: s\nbundle: {tiny_bundle}\nstudents: [mean]\nsizes: [64x96]\nprecisions: [fp16]\nduration: 0\nruns: 1\n"
    )
    assert main(["bench", "suite", str(tmp_path / "s.yaml"), "--output", str(tmp_path / "r.jsonl")]) == 1
    said = capsys.readouterr()
    assert "1 failed" in said.out and "has no fp16 artifact" in said.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["bench", "no-such-bundle"], "no bundle here"),
        (["bench", "compare", "a.json"], "Missing argument"),
        (["bench", "report"], "Missing argument"),
        (["bench", "report", "none.jsonl"], "the file does not exist"),
        (["bench", "suite", "none.yaml"], "the suite does not exist"),
        (["bench", "--threads", "0", "x"], "0 is not in the range"),
    ],
)
def test_wrong_input_is_exit_code_2(words, what, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert what in capsys.readouterr().err


def test_help_shows_the_measurement_s_options_and_the_commands(capsys):
    assert main(["bench", "--help"]) == 0
    said = capsys.readouterr().out
    for word in (
        "BUNDLE|ENGINE",
        "--threads",
        "--match-trtexec",
        "compare",
        "suite",
        "report",
        "Example: edgekit bench",
    ):
        assert word in said
    assert main(["bench"]) == 2

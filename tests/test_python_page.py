"""The examples of docs/python.md, in their order, in one namespace, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import edgekit

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    for example in EXAMPLES:
        exec(compile(example, str(PAGE), "exec"), namespace)
    out = capsys.readouterr().out
    result, bundle = namespace["result"], namespace["bundle"]
    assert result.run.is_dir() and result.student.is_file() and result.table.is_file()
    assert set(result.scores) >= {"ensemble", "baseline", "student"} and result.document["run"] == str(result.run)
    assert [stated.holds for stated in result.requirements] == [r["holds"] for r in result.document["requirements"]]
    assert f"{result.parameters:,} parameters" in out
    assert edgekit.distill("uav", overrides=namespace["quick"]).scores == result.scores  # nothing is trained again
    assert namespace["scored"].split == "val" and namespace["scored"].table.is_file()
    assert bundle.bundle == Path("bundles/quick") and bundle.artifacts == ("onnxruntime/fp32",)
    assert namespace["maps"]["semantic"].shape == (48, 64)
    assert set(namespace["flown"].scores) == {"fp32, onnxruntime lane by onnxruntime"}
    assert "there is no recipe 'uva'" in out

"""What cannot be exported is said before any work."""

from __future__ import annotations

import pytest

from edgekit.errors import EdgekitError
from edgekit.pipeline import export as pipeline
from edgekit.pipeline.export import Request, export
from edgekit.pipeline.subject import latest_run, subject_of


@pytest.mark.parametrize(
    ("override", "what"),
    [("student.width=32", "what is trained"), ("export.upsampling=cubic", "cubic"), ("export.outputs.x=[mask]", "'x'")],
)
def test_overrides_may_change_the_export_alone(first, tmp_path, override, what):
    with pytest.raises(EdgekitError, match=what):
        export(subject_of(first.run, [override]), Request("onnx", tmp_path / "bundle"))


def test_what_cannot_be_written_is_said_before_any_work(first, tmp_path, monkeypatch):
    (tmp_path / "mine").write_text("mine")
    monkeypatch.setattr(pipeline, "bodies", lambda *args: pytest.fail("worked before it looked"))
    with pytest.raises(EdgekitError, match="in the way"):
        export(subject_of(first.run), Request("cpu", tmp_path / "mine"))
    with pytest.raises(EdgekitError, match="540x960") as caught:
        export(subject_of(first.run), Request("cpu", tmp_path / "bundle", size=(540, 960)))
    assert "544x960" in caught.value.fix


def test_the_latest_run_is_the_one_that_finished_last(first, tmp_path):
    assert latest_run(first.run.parent) == first.run
    with pytest.raises(EdgekitError, match="no finished run"):
        latest_run(tmp_path)


@pytest.mark.parametrize(
    ("target", "word", "what"),
    [("jetson", "8.9", "jetson has no engines"), ("rtx", "8.7", "does not build for all of|is not installed")],
)
def test_compute_capabilities_are_checked_before_any_work(first, tmp_path, target, word, what, monkeypatch):
    monkeypatch.setattr(pipeline, "bodies", lambda *arguments: pytest.fail("it began to export"))
    with pytest.raises(EdgekitError, match=what):
        export(subject_of(first.run), Request(target, tmp_path / "bundle", capabilities=(word,)))

"""`edgekit quantize sensitivity` on a run: its own frames, its export section, and a run that stays as it was."""

from __future__ import annotations

from edgekit.frames.files import sha256


def files(folder) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256(p) for p in folder.rglob("*") if p.is_file() and p.name != "log.jsonl"}


def test_a_run_is_measured_on_its_train_split_and_gains_a_picture_alone(copied, tell):
    before = files(copied.run)
    done = tell("quantize", "sensitivity", copied.run, "--measured", 2, "--set", "export.quantize.observer=minmax")
    assert done.code == 0, done.err
    found = done.found
    assert (found["calibration_frames"], found["measured_frames"], found["observer"]) == (8, 2, "minmax")
    assert found["size"] == [64, 96] and found["outputs"] == ["semantic_logits"]
    after = files(copied.run)
    assert set(after) - set(before) == {"pictures/sensitivity-onnxruntime.png"}
    assert {name: after[name] for name in before} == before
    assert sum(row["share"]["semantic_logits"] for row in found["layers"]) > 0.999
    names = [row["layer"] for row in found["layers"]]
    assert set(found["loudest"]["semantic_logits"]) < set(names)

    # A name it prints is one that the recipe takes.
    worst = found["loudest"]["semantic_logits"][0]
    out = copied.root / "bundle"
    exported = tell("export", copied.run, "--out", out, "--set", f"export.quantize.keep_float=[{worst}]")
    assert worst in str(exported.found["quantization"]), exported.err


def test_a_run_without_a_student_says_what_to_do(copied, tell):
    (copied.run / "student.pt").unlink()
    done = tell("quantize", "sensitivity", copied.run)
    assert done.code == 2 and "edgekit distill" in done.found["error"]["fix"]

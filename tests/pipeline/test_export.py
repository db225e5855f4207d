"""The whole chain on the CPU: a run's student to a bundle with every lane, and back through the device's Predictor."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from edgekit.bundle.bundle import Bundle, open_bundle
from edgekit.bundle.manifest import Artifact
from edgekit.compile.compiler import compile_model, is_there
from edgekit.errors import EdgekitError
from edgekit.export.contract import contract
from edgekit.frames.images import read_label, read_rgb, write_png
from edgekit.graphs.read import opset
from edgekit.pipeline import export as pipeline
from edgekit.pipeline.compile import NOT_COMPILED
from edgekit.pipeline.export import Request, export
from edgekit.pipeline.int8 import CalibrationFeed
from edgekit.pipeline.run import Run
from edgekit.pipeline.subject import calibrate_with, subject_of
from edgekit.pipeline.training import new_student
from edgekit.quantize.observers import OBSERVERS
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.runtime.load import load
from edgekit.runtime.tensorrt.sidecar import read_sidecar
from edgekit.students.student import load_student


@pytest.fixture(scope="module")
def base(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny recipe and its photographs, to be changed here alone."""
    folder = tmp_path_factory.mktemp("export") / "base"
    shutil.copytree(photographs, folder)
    return folder


@pytest.fixture(scope="module")
def run(base: Path) -> Path:
    """A run that ended with a student, without the hours before it: its norms and heads are what a seed gave.

    The labels are what that student says, so that its metrics are perfect and INT8's show what INT8 costs.
    """
    recipe = load_recipe(Recipe, base / "tiny.yaml", ["data.licence=CC BY 4.0", "data.attribution=The surveyors"])
    made = Run.of(recipe, base, base.parent / "runs")
    made.begin()
    bench = made.bench()
    torch.manual_seed(0)
    described = (bench.recipe.student, bench.tasks, bench.seen, bench.statistics)
    new_student(*described)  # the first of this seed says one class everywhere
    student = new_student(*described)
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.2)
    nn.init.normal_(student.network.head.weight, std=0.5)
    student.save(made.folder / "student.pt")
    for split in ("train", "val"):
        for path in (base / "photographs" / split / "images").iterdir():
            write_png(base / "photographs" / split / "labels" / path.name, said_by(made.folder / "student.pt", path))
    return made.folder


def said_by(student: Path, photograph: Path) -> np.ndarray:
    """(H, W) uint8 classes: argmax of the logits, each for a square of pixels."""
    frame = torch.from_numpy(read_rgb(photograph)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        logits = load_student(student)(frame)["semantic"][0]
    return logits.argmax(dim=0).numpy().astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)


@pytest.fixture(scope="module")
def lopsided(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with a student that computes the same in float, through channels a thousand times as large.

    One range for all channels of a tensor then leaves the others a fraction of a step: INT8 must fail.
    """
    folder = tmp_path_factory.mktemp("lopsided") / run.name
    shutil.copytree(run, folder)
    (folder.parent / "stages").symlink_to(run.parent / "stages")
    student = load_student(run / "student.pt")
    with torch.no_grad():
        for block, reader in (("stem.1", "stem.2"), ("down8.1", "down8.2")):
            writer, following = (student.network.get_submodule(name) for name in (block, reader))
            writer.norm.weight[0] *= 1000
            writer.norm.bias[0] *= 1000
            following.conv3.weight[:, 0] /= 1000
            following.conv1.weight[:, 0] /= 1000
            if following.identity:  # it passes the channel on as it is: taken out of the sum, and put in at scale
                following.conv1.weight[0, 0] += 1 / 1000 - 1
    student.save(folder / "student.pt")
    return folder


@pytest.fixture(scope="module")
def made(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Bundle]:
    out = tmp_path_factory.mktemp("bundles") / "tiny"
    overrides = ["export.outputs.semantic=[classes, confidence]", "export.quantize.gate.semantic=100"]
    result = export(subject_of(run, overrides), Request("jetson", out, deepstream=True))
    return result, open_bundle(out)


def test_the_bundle_has_every_lane_and_opens(made):
    result, bundle = made
    assert result["holds"] and result["bundle"] == str(bundle.folder)
    assert [f"{a.lane}/{a.precision}" for a in bundle.manifest.artifacts] == result["artifacts"]
    assert result["artifacts"] == [
        *("onnxruntime/fp32", "onnxruntime/int8", "weak/fp32", "weak/fp16", "weak/int8"),
        *("strong/fp16", "strong/int8", "cache/fp32", "cache/fp16", "cache/int8"),
    ]
    assert {"MODEL_CARD.md", "build.sh", "ranges.txt", "golden.npz", "frame.png", "semantic.png"} <= set(
        bundle.manifest.files
    )
    json.dumps(result, allow_nan=False)


def said_by_nvidia(result: dict) -> dict[str, dict]:
    """File → the row of NVIDIA's compiler."""
    return {row["task"]: row for row in result["parity"] if row["step"].startswith("NVIDIA's compiler")}


def test_files_for_deepstream(made, run, tmp_path):
    result, bundle = made
    stem = "deepstream/segmentation"
    assert {f"{stem}.onnx", f"{stem}.txt", f"{stem}.labels.txt"} <= set(bundle.manifest.files)
    assert [row["holds"] for row in result["parity"] if row["step"] == "deepstream"] == [True]
    if is_there():
        assert compile_model((bundle.folder / f"{stem}.onnx").read_bytes(), stem).taken
    with pytest.raises(EdgekitError, match="DeepStream needs TensorRT"):
        export(subject_of(run), Request("cpu", tmp_path / "bundle", deepstream=True))


def test_nvidias_compiler_is_asked_for_every_tensorrt_file(made):
    result, bundle = made
    rows = said_by_nvidia(result)
    assert set(rows) == {a.file for a in bundle.manifest.artifacts if a.tensorrt}
    assert list(bundle.manifest.parity) == result["parity"]
    card = (bundle.folder / "MODEL_CARD.md").read_text()
    if is_there():
        assert all(row["metric"].startswith("taken, ") and row["holds"] is True for row in rows.values())
        assert "14 of 14 convolutions in INT8" in rows["int8-strong.onnx"]["metric"]
        assert all(row["step"].split()[-1].count(".") >= 2 for row in rows.values())  # the compiler's version
        assert "14 of 14 convolutions in INT8" in card
    else:
        assert {(row["metric"], row["holds"]) for row in rows.values()} == {(NOT_COMPILED, None)}
        assert NOT_COMPILED.partition(" (")[0] in card


def test_every_file_is_what_the_manifest_says(made):
    for artifact in made[1].manifest.artifacts:
        model = onnx.load_from_string(made[1].read(artifact.file))
        assert opset(model) == artifact.opset and model.ir_version <= 10
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (value,) = session.get_inputs()
        assert (value.name, tuple(value.shape)) == (artifact.input.name, artifact.input.shape)
        assert {o.name: tuple(o.shape) for o in session.get_outputs()} == {o.name: o.shape for o in artifact.outputs}
        about = {p.key: p.value for p in model.metadata_props}
        assert json.loads(about["tasks"])[0]["classes"] == ["sky", "roof", "grass"]
        assert about["recipe_hash"] == made[1].manifest.provenance["recipe_hash"]


def test_precision_is_where_each_lane_has_it(made):
    models = {a.file: onnx.load_from_string(made[1].read(a.file)) for a in made[1].manifest.artifacts}
    ops = {name: {node.op_type for node in model.graph.node} for name, model in models.items()}
    assert {name for name, found in ops.items() if "QuantizeLinear" in found} == {
        *("int8-onnxruntime.onnx", "int8-weak.onnx", "int8-strong.onnx")
    }
    halves = {
        name
        for name, model in models.items()
        if any(t.data_type == onnx.TensorProto.FLOAT16 for t in model.graph.initializer)
    }
    assert halves == {"fp16-strong.onnx", "int8-strong.onnx"}


def test_every_artifact_stays_within_its_tolerance(made):
    """As a device finds out: all lanes through onnxruntime, against the golden answers."""
    bundle = made[1]
    golden = bundle.golden()
    pre = bundle.manifest.preprocessing
    planes = ((golden["frames"] - np.float32(pre.mean)) / np.float32(pre.std)).transpose(0, 3, 1, 2)
    for artifact in bundle.manifest.artifacts:
        tolerance = bundle.manifest.golden.tolerance[f"{artifact.lane}/{artifact.precision}"]
        assert set(tolerance) == {o.name for o in artifact.outputs}
        session = onnxruntime.InferenceSession(bundle.read(artifact.file), providers=["CPUExecutionProvider"])
        for i in range(bundle.manifest.golden.count):
            feed = (
                golden["frames"][i : i + 1] if artifact.input.dtype == "uint8" else planes[i : i + 1].astype(np.float32)
            )
            for name, found in zip(tolerance, session.run(list(tolerance), {artifact.input.name: feed}), strict=True):
                reference = golden[name][i : i + 1]
                if "agreement" in tolerance[name]:
                    # the tolerance is for all frames together; one of two may have all of the differing pixels
                    assert (found == reference).mean() >= 1 - 2 * (1 - tolerance[name]["agreement"]), artifact
                else:
                    apart = np.abs(found.astype(np.float64) - reference).mean()
                    assert apart <= 2 * tolerance[name]["error"], artifact


def test_on_the_cpu_the_frame_is_not_rounded(made):
    """onnxruntime moves a transpose behind integers, and then normalises interleaved colours: half of all the time."""
    for name, kind in (("int8-onnxruntime.onnx", "Conv"), ("int8-weak.onnx", "QuantizeLinear")):
        graph = onnx.load_from_string(made[1].read(name)).graph
        assert {node.op_type for node in graph.node if "input" in node.input} == {kind}


def test_int8_by_a_range_table_may_be_as_far_off_as_int8_by_nodes(made):
    tolerance = made[1].manifest.golden.tolerance
    exact, lowered = (tolerance[f"cache/{p}"]["semantic_logits"]["error"] for p in ("fp16", "int8"))
    assert lowered > 2 * exact > 0


def test_ranges_belong_to_the_plain_graph(made):
    manifest, file = made[1].manifest, made[1].artifact("cache", "int8").file  # of its own where weights are equalised
    graph = onnx.load_from_string(made[1].read(file)).graph
    tensors = {"input", *(name for node in graph.node for name in node.output)}
    assert set(manifest.ranges.tensors) | set(manifest.ranges.unranged) == tensors
    # TensorRT warns of every tensor without a range that its layers may stay out of INT8
    assert manifest.ranges.unranged == ()
    for relu in (node for node in graph.node if node.op_type == "Relu"):
        assert manifest.ranges.tensors[relu.input[0]] == manifest.ranges.tensors[relu.output[0]]
    assert manifest.ranges.model == manifest.files[file]
    assert manifest.ranges.count == 8  # all of train, none of val
    assert len(made[1].read("ranges.txt").splitlines()) == len(manifest.ranges.tensors)


def test_parity_names_every_step(made):
    steps = {row["step"] for row in made[1].manifest.parity}
    exact = {"fused", "onnx fp32", "outputs fp32", "deepstream", "fp16"}
    steps = {step for step in steps if not step.startswith("NVIDIA's compiler")}
    assert steps == exact | {f"int8 {name}" for name in ("onnxruntime", "tensorrt", "weak", "strong")} | {
        "val: fp32 onnxruntime",
        "val: int8 onnxruntime",
    }


def test_metrics_are_those_of_the_ordinary_evaluation(run, made, base):
    """The file's own class maps against the labels, counted here by hand."""
    metrics = made[1].manifest.metrics
    assert list(metrics) == ["module", "fp32", "int8"]
    for precision in ("fp32", "int8"):
        right = pixels = 0
        with load(made[1], precision=precision) as predictor:
            for path in sorted((base / "photographs" / "val" / "images").iterdir()):
                label = read_label(base / "photographs" / "val" / "labels" / path.name)
                right += int((predictor.infer(read_rgb(path))["semantic"] == label).sum())
                pixels += label.size
        assert metrics[precision]["semantic"]["pixel_accuracy"] == pytest.approx(right / pixels)


def test_the_card_says_what_it_is(made):
    card = made[1].read("MODEL_CARD.md").decode()
    for words in ("sky, roof, grass", "semantic_confidence", "| semantic | miou |", "int8-weak.onnx", "licence"):
        assert words in card
    assert "Licence of the data: CC BY 4.0. Attribution: The surveyors." in card
    assert "](semantic.png)" in card and str(Path.home()) not in card


def test_nothing_in_the_bundle_names_this_machine(made, base):
    for name in made[1].manifest.files:
        assert str(base).encode() not in made[1].read(name)
    assert str(base) not in (made[1].folder / "manifest.json").read_text()


def test_one_frame_through_the_predictor_is_what_the_student_says(run, made, base):
    for path in (base / "photographs" / "val" / "images").iterdir():
        with load(made[1], precision="fp32") as predictor:
            answer = predictor.infer(read_rgb(path))["semantic"]
        assert (answer == said_by(run / "student.pt", path)).mean() > 0.999


def test_synthetic_golden_frames_leave_no_photograph_in_the_bundle(run, base, tmp_path):
    out = tmp_path / "bundle.tar"
    request = Request("onnx", out, golden="synthetic", metric_frames=1)
    result = export(subject_of(run), request)
    assert result["artifacts"] == ["onnxruntime/fp32"]
    bundle = open_bundle(out)
    assert bundle.manifest.golden.source == "synthetic" and bundle.manifest.golden.count == 4
    assert set(bundle.manifest.files) == {"fp32.onnx", "golden.npz", "frame.png", "MODEL_CARD.md"}
    frames = np.concatenate([bundle.golden()["frames"], read_rgb(bundle.path("frame.png"))[None]]).astype(int)
    for path in (base / "photographs").rglob("images/*.png"):
        assert np.abs(frames - read_rgb(path)).mean(axis=(1, 2, 3)).min() > 5
    assert bundle.manifest.provenance["metric_frames"] == 1


def test_a_students_file_needs_frames_and_takes_a_folder(run, base, tmp_path):
    file = Path(shutil.copy(run / "student.pt", tmp_path))
    with pytest.raises(EdgekitError, match="no frames") as caught:
        subject_of(file)
    assert "--frames" in caught.value.fix
    folder = base / "photographs" / "train" / "images"
    subject = subject_of(file, frames=folder)
    result = export(subject, Request("cpu", tmp_path / "bundle", size=(32, 48), dynamic=frozenset({"batch"})))
    bundle = open_bundle(tmp_path / "bundle")
    (row,) = [row for row in result["parity"] if row["step"] == "scores"]
    assert (row["metric"], row["holds"]) == ("not compared: no recipe names labelled frames", None)
    assert result["metrics"] == {} and bundle.manifest.ranges.count == 8
    artifact = bundle.artifact("onnxruntime", "int8")
    assert artifact.input.shape == ("batch", 32, 48, 3)
    assert (artifact.profile.min, artifact.profile.max) == ((1, 32, 48, 3), (8, 32, 48, 3))
    with load(bundle, precision="int8") as predictor:
        frames = np.stack([read_rgb(path) for path in sorted(folder.iterdir())[:3]])
        together = predictor.infer(frames)["semantic"]
        for frame, answer in zip(frames, together, strict=True):
            assert (predictor.infer(frame)["semantic"] == answer).all()


OPEN = {"frames": ((1, 32, 48, 3), (1, 64, 96, 3), (8, 128, 192, 3))}
OPEN["input"] = tuple((n, 3, h, w) for n, h, w, _ in OPEN["frames"])


def test_every_lane_of_a_jetson_may_leave_batch_and_size_open(run, made, tmp_path):
    """Profiles for all of them; the integers are those of the usual size, for which a fixed export calibrates."""
    overrides = ["export.outputs.semantic=[classes, confidence]", "export.quantize.gate.semantic=100"]
    request = Request("jetson", tmp_path / "open", precision="int8", dynamic=frozenset({"batch", "size"}))
    assert export(subject_of(run, overrides), request)["holds"]
    bundle, fixed = open_bundle(tmp_path / "open"), made[1]
    assert len(bundle.manifest.artifacts) == len(fixed.manifest.artifacts) == 10
    frames = fixed.golden(["frames"])["frames"][:1]
    for artifact, like in zip(bundle.manifest.artifacts, fixed.manifest.artifacts, strict=True):
        assert (artifact.lane, artifact.precision) == (like.lane, like.precision)
        profile, name = artifact.profile, artifact.input.name
        assert (profile.min, profile.opt, profile.max) == OPEN[name] and profile.opt == like.input.shape
        assert {side for side in artifact.input.shape if isinstance(side, str)} == {"batch", "height", "width"}
        ours, theirs = (session(b, a) for b, a in ((bundle, artifact), (fixed, like)))
        usual = frames if name == "frames" else np.random.default_rng(0).standard_normal(profile.opt, np.float32)
        for a, b in zip(ours.run(None, {name: usual}), theirs.run(None, {name: usual}), strict=True):
            np.testing.assert_array_equal(a, b)
        for shape in (profile.min, profile.max):
            answers = ours.run(None, {name: np.zeros(shape, usual.dtype)})
            for output, answer in zip(artifact.outputs, answers, strict=True):
                assert answer.shape[0] == shape[0] and np.isfinite(answer).all()
                assert answer.shape[-2] * output.stride == shape[1 if name == "frames" else 2]
    assert bundle.manifest.ranges.tensors == fixed.manifest.ranges.tensors
    script = (bundle.folder / "build.sh").read_text()
    assert "--minShapes=frames:1x32x48x3" in script and "--maxShapes=input:8x3x128x192" in script


def session(bundle: Bundle, artifact: Artifact) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(bundle.read(artifact.file), options, providers=["CPUExecutionProvider"])


def test_a_wrong_graph_fails_the_gate_by_name_and_writes_nothing(run, tmp_path, monkeypatch):
    right = pipeline.bodies

    def wrong(*args):
        made = right(*args)
        for model in made.values():
            tensor = next(t for t in model.graph.initializer if t.name == "fuse8.0.weight")
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.1), tensor.name))
        return made

    monkeypatch.setattr(pipeline, "bodies", wrong)
    result = export(subject_of(run), Request("cpu", tmp_path / "bundle"))
    assert not result["holds"] and result["bundle"] is None
    assert "onnx fp32" in result["failed"] and "'fuse8.0'" in result["failed"]
    assert not (tmp_path / "bundle").exists()
    json.dumps(result, allow_nan=False)


def test_the_student_is_perfect_on_what_it_said(made):
    metrics = made[1].manifest.metrics
    assert metrics["fp32"]["semantic"]["miou"] == pytest.approx(1.0, abs=1e-3)
    assert metrics["int8"]["semantic"]["miou"] < 1.0  # or the gate's tests below would show nothing


GATE = ["export.quantize.gate.semantic=5"]
NAMED = "export.quantize.observer=entropy"


def test_int8_that_fails_the_gate_is_not_written(lopsided, run, tmp_path):
    frame = torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():
        even, uneven = (load_student(f / "student.pt")(frame)["semantic"] for f in (run, lopsided))
    assert torch.allclose(even, uneven, atol=1e-3 * float(even.abs().max()))

    subject = subject_of(lopsided, [*GATE, NAMED, "export.quantize.recover=false"])
    result = export(subject, Request("cpu", tmp_path / "bundle"))
    assert not result["holds"] and not (tmp_path / "bundle").exists()
    (failed,) = [row for row in result["parity"] if not row["holds"]]
    assert (failed["step"], failed["limit"]) == ("int8 onnxruntime", 5.0) and failed["value"] > 5
    assert result["failed"].startswith("int8 onnxruntime (semantic, cost in miou, points: ")
    assert f"{failed['value']:.4g}, limit 5): the first tensor that diverges is " in result["failed"]

    chosen = export(subject_of(lopsided, [*GATE, "export.quantize.recover=false"]), Request("cpu", tmp_path / "bundle"))
    facts = chosen["quantization"]["onnxruntime"]
    ways = facts["ways_compared"]
    assert chosen["holds"] and facts["equalised"] and len(ways) == 2 * len(OBSERVERS) + 1
    assert min(ways, key=ways.get).startswith(f"{facts['observer']}, equalised")


def test_a_file_that_scores_less_than_the_module_is_not_written(run, tmp_path):
    """Seen at half its size, the frame is another picture: no step of graph to graph shows that, the scores do."""
    small = Request("cpu", tmp_path / "bundle", precision="fp32", size=(32, 48))
    result = export(subject_of(run), small)
    failed = [row for row in result["parity"] if not row["holds"]]
    assert [row["step"] for row in failed] == ["val: fp32 onnxruntime"] and failed[0]["value"] > failed[0]["limit"] == 1
    assert "export.upsampling: bilinear" in result["failed"] and not (tmp_path / "bundle").exists()
    allowed = export(subject_of(run, ["export.quantize.gate.semantic=100"]), small)
    assert allowed["holds"] and open_bundle(tmp_path / "bundle").manifest.metrics["fp32"]["semantic"]["miou"] < 0.99


def test_int8_that_fails_the_gate_recovers_and_says_how(lopsided, tmp_path):
    result = export(subject_of(lopsided, [*GATE, NAMED]), Request("jetson", tmp_path / "bundle"))
    assert result["holds"], result["failed"]
    bundle = open_bundle(tmp_path / "bundle")
    for style in ("onnxruntime", "tensorrt"):
        facts = bundle.manifest.quantization[style]
        assert facts["holds"] and not facts["steps"][0]["holds"]
        assert [step["step"] for step in facts["steps"]][:2] == ["calibrated", "equalised"]
    # Its weights are no longer those of fp32, so the range table goes with a graph of its own
    assert bundle.artifact("cache", "int8").file == "logits-int8.onnx"
    assert bundle.artifact("cache", "fp16").file == "logits.onnx"
    assert bundle.manifest.ranges.model == bundle.manifest.files["logits-int8.onnx"]
    fp32, int8 = (bundle.manifest.metrics[s]["semantic"]["miou"] for s in ("fp32", "int8"))
    assert fp32 - int8 <= 0.05 + 1e-9
    assert all(row["metric"].startswith(("taken, ", NOT_COMPILED)) for row in said_by_nvidia(result).values())


def test_a_network_larger_than_the_frames_is_not_calibrated_on_padding(run):
    """The same ranges as at the frames' own size: the constant colour around them would drown what is in them."""
    subject = subject_of(run)
    found = []
    for size in ((64, 96), (256, 384)):
        preprocessing = contract(subject.student, size, "letterbox", (64, 96))
        feed = CalibrationFeed(subject.calibration, preprocessing)
        assert [frame.shape for frame in feed()] == [(1, 3, 64, 96)] * 8
        found.append(list(feed()))
    for small, large in zip(*found, strict=True):
        np.testing.assert_array_equal(small, large)


def test_calibration_frames_are_a_number_or_a_folder(run, base, tmp_path):
    subject = subject_of(run)
    assert calibrate_with(subject, None) is None and calibrate_with(subject, "3") == 3
    assert len(subject.calibration) == 8
    assert calibrate_with(subject, str(base / "photographs" / "val" / "images")) == 2
    assert [shot.name for shot in subject.calibration] == ["f8.png", "f9.png"]
    for asked, what in (
        ("0", "0 frames are too few"),
        ("-5", "-5 frames are too few"),
        (str(tmp_path), "no photographs"),
        ("nowhere", "neither a number nor a folder"),
    ):
        with pytest.raises(EdgekitError, match=what):
            calibrate_with(subject, asked)


def test_every_file_has_its_hash(made):
    for name, digest in made[1].manifest.files.items():
        assert hashlib.sha256((made[1].folder / name).read_bytes()).hexdigest() == digest


def test_the_target_rtx_has_engines_where_the_compiler_is_there(run, tmp_path):
    request = Request("rtx", tmp_path, metric_frames=2, capabilities=("8.6", "12.0") if is_there() else None)
    result = export(subject_of(run, ["export.quantize.gate.semantic=100"]), request)
    bundle = open_bundle(tmp_path)
    assert [a.lane for a in bundle.manifest.artifacts] == ["onnxruntime", "onnxruntime", "strong", "strong"]
    assert {"build.sh", "ranges.txt"}.isdisjoint(bundle.manifest.files)
    if not is_there():
        assert result["engines"] == [] and {row["metric"] for row in said_by_nvidia(result).values()} == {NOT_COMPILED}
        return
    for engine, precision in zip(result["engines"], ("fp16", "int8"), strict=True):
        sidecar = read_sidecar(Path(engine))
        assert (sidecar.precision, sidecar.compute_capabilities) == (precision, ("8.6", "12.0"))
        assert sidecar.plan == hashlib.sha256(Path(engine).read_bytes()).hexdigest() and "not run" in sidecar.notes[0]

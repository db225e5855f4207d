"""``MODEL_CARD.md``: what the bundle predicts, how well, on what data, and where its limits are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.bundle.manifest import Manifest, Preprocessing
from edgekit.export.golden import FLOOR_DISAGREEMENT, FLOOR_ERROR, MARGIN
from edgekit.frames.markdown import code, escaped
from edgekit.tasks import Task, kind_of

CARD = "MODEL_CARD.md"
_HOLDS = {True: "yes", False: "NO", None: "–"}


def model_card(manifest: Manifest, *, pictures: Sequence[str] = ()) -> str:
    """The card as Markdown, from the manifest alone; ``pictures`` are names of files in the bundle."""
    student, pre = manifest.student, manifest.preprocessing
    parts = [
        f"# {escaped(manifest.name)}",
        f"A {code(student.name)} student of width {student.width}: {student.parameters:,} parameters, "
        f"{student.multiply_adds / 1e9:.2f} billion multiply-adds on a frame of {pre.size[0]}×{pre.size[1]}. "
        f"Exported by edgekit {manifest.edgekit} on {manifest.created} for the target `{manifest.target}`"
        + (f", board {escaped(manifest.board)}" if manifest.board else "")
        + (f", JetPack {escaped(manifest.jetpack)}" if manifest.jetpack else "")
        + ".",
        "## What it predicts",
        "\n".join(_task_line(task, manifest) for task in manifest.tasks),
        *(f"![{name}]({name})" for name in pictures),
        "## Pre-processing",
        _preprocessing_text(manifest),
        "## Accuracy",
        _metrics_text(manifest),
        "## Files",
        _table(
            ("file", "lane", "precision", "opset", "TensorRT"),
            [(a.file, a.lane, a.precision, str(a.opset), a.versions or "–") for a in manifest.artifacts],
        ),
        _quantization_text(manifest),
        "## Agreement of the files",
        _parity_text(manifest),
        "## Limits",
        _limits_text(manifest),
        "## Data and licence",
        _data_text(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _task_line(task: Task, manifest: Manifest) -> str:
    kind = kind_of(task)
    forms = dict.fromkeys(o.form for a in manifest.artifacts for o in a.outputs if o.task == task.name)
    said = "; ".join(f"{code(f'{task.name}_{form}')}: {kind.form(form).meaning}" for form in forms if form != "logits")
    return f"- **{escaped(task.name)}** ({task.kind}), {escaped(kind.about(task))}. {said}."


def _preprocessing_text(manifest: Manifest) -> str:
    pre = manifest.preprocessing
    room = pre.content or pre.size
    seen = ", ".join(f"{s.dtype} {escaped(s.task.name)}" for s in pre.sensors())
    fit = (
        f"resized to fit inside {room[0]}×{room[1]} (never enlarged), placed at the top left of "
        f"{pre.size[0]}×{pre.size[1]}, the rest filled with {_named(pre)} {pre.pad}"
        if pre.fit == "letterbox"
        else f"stretched to {pre.size[0]}×{pre.size[1]}"
    )
    text = (
        f"{seen}, {fit}. Normalisation is inside the graphs that take `frames`: "
        f"({_named(pre)} − {_rounded(pre.mean)}) / {_rounded(pre.std)}; `logits.onnx`, where there is one, takes "
        "them normalised."
    )
    if pre.depth_scale != 1 and any(task.unit for task in manifest.tasks):
        text += f" Metric depth is multiplied by {pre.depth_scale:.4g}, because frames are seen at a reduced scale."
    if pre.may_lack:
        text += (
            f" Frames may come without {', '.join(map(escaped, pre.may_lack))}: their mean stands for what is missing."
        )
    return text + " `edgekit.load(bundle)` does all of this and returns results at the frame's own size."


def _named(pre: Preprocessing) -> str:
    """The channels' modalities, as a formula has them."""
    return ", ".join(escaped(task.name) for task in pre.modalities)


def _metrics_text(manifest: Manifest) -> str:
    stages = [stage for stage in manifest.metrics if stage.partition(" ")[0] in ("module", "fp32", "int8")]
    if not stages:
        return "Not measured at this export."
    count, split = manifest.provenance.get("metric_frames"), manifest.provenance.get("split", "?")
    lines = [
        f"On {count} frames of the split {code(split)}, the primary metric of each task. *module*: the network as "
        "trained, its logits interpolated to the frame's size. *fp32* and *int8*: the files, through the same steps as "
        "on a device."
    ]
    rows = []
    for task in manifest.tasks:
        name = kind_of(task).primary.name
        values = [_number(manifest.metrics[s].get(task.name, {}).get(name)) for s in stages]
        rows.append((task.name, name, *values))
    lines.append(_table(("task", "metric", *stages), rows))
    for task in manifest.tasks:
        by_class = [(s, manifest.metrics[s].get(task.name, {}).get("iou")) for s in stages]
        if task.classes and all(isinstance(iou, Mapping) for _, iou in by_class):
            lines.append(
                _table(("IoU", *stages), [(c, *(_number(iou.get(c)) for _, iou in by_class)) for c in task.classes])
            )
    return "\n\n".join(lines)


def _quantization_text(manifest: Manifest) -> str:
    if manifest.ranges is None:
        return ""
    styles = [s for s in manifest.quantization.values() if isinstance(s, Mapping)]
    kept = list(dict.fromkeys(layer for style in styles for layer in style.get("float_layers", [])))
    text = (
        f"INT8 ranges: {manifest.ranges.observer} over {manifest.ranges.count} frames, "
        f"{len(manifest.ranges.tensors)} tensors."
    )
    return text + (f" Left in float: {', '.join(map(escaped, kept))}." if kept else "")


def _parity_text(manifest: Manifest) -> str:
    rows = [
        (r["step"], r["task"], r["metric"], _number(r["value"]), _number(r["limit"]), _HOLDS[r["holds"]])
        for r in manifest.parity
    ]
    text = _table(("step", "task", "metric", "value", "limit", "holds"), rows) if rows else "Not compared."
    return (
        text + "\n\n`edgekit verify` repeats the comparison on the device, on the golden frames. A file may be "
        f"{MARGIN:g} times as far from the fp32 reference as it was when it was exported, and a floor more: "
        f"{FLOOR_DISAGREEMENT:.1%} of the pixels, or {FLOOR_ERROR:.1%} of the mean magnitude."
    )


def _limits_text(manifest: Manifest) -> str:
    lines = [
        "- It was trained on its training data alone: other heights, seasons, cameras and weather were not tested.",
        "- A confidence is the network's own estimate, not a guarantee: nothing here is certified for flight.",
    ]
    if any(a.tensorrt for a in manifest.artifacts):
        there = "an RTX GPU. There," if manifest.target == "rtx" else "a Jetson. Build there, then"
        lines.append(
            "- Files for TensorRT were checked through onnxruntime at export, and where the table above says so by "
            f"NVIDIA's compiler for RTX GPUs; none was run on {there} run `edgekit verify`."
        )
    if any(task.unit for task in manifest.tasks):
        lines.append("- Metric depth holds for cameras with the field of view of the training frames.")
    return "\n".join(lines)


def _data_text(manifest: Manifest) -> str:
    facts = manifest.provenance
    trained = (
        f"Trained by the recipe {code(facts['recipe'])} ({facts['recipe_hash']})" if "recipe" in facts else "Trained"
    )
    if facts.get("student") == "baseline.pt":
        trained += ", on labels alone, without an ensemble,"
    text = (
        f"{trained} on data of the source {code(facts['data'])}."
        if "data" in facts
        else f"{trained} on data not stated."
    )
    golden = (
        "The golden frames are synthetic: no photograph is in this bundle."
        if manifest.golden.source == "synthetic"
        else f"The bundle holds {manifest.golden.count} frames of that data in `{manifest.golden.file}`, and more in "
        "its pictures: its licence applies to them, and to handing them on (`--golden synthetic` leaves them out)."
    )
    licence = (
        f"Licence of the data: {escaped(facts['licence'])}."
        if "licence" in facts
        else (
            "What the licence of the training data allows, also commercially, was not stated in the recipe: look it up "
            "before you ship this network."
        )
    )
    attribution = f" Attribution: {escaped(facts['attribution'])}." if "attribution" in facts else ""
    return f"{text} {golden} {licence}{attribution}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first, *others = ("| " + " | ".join(map(escaped, line)) + " |" for line in (header, *rows))
    return "\n".join([first, "| " + " | ".join(["---"] * len(header)) + " |", *others])


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}"


def _rounded(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:.4g}" for v in values) + ")"

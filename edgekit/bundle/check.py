"""What a manifest promises, against itself, the limits and the graphs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

from edgekit import limits
from edgekit.bundle.graph import disagreement, read_graph
from edgekit.bundle.manifest import (
    MANIFEST,
    Artifact,
    Manifest,
    OutputTensor,
    Preprocessing,
    Tensor,
)
from edgekit.errors import EdgekitError
from edgekit.frames.names import component
from edgekit.tasks import Kind, Task, kind_of
from edgekit.tasks.modality import RGB

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")
_LEAST, _MOST = 1e-6, 1e6  # of what frames and depths are multiplied or divided by
_BYTES = {"uint8": 1, "float16": 2, "float32": 4}


def check_graphs(manifest: Manifest, read: Callable[[str], bytes], where: str) -> None:
    """EdgekitError for a graph that must not be loaded, or that is another than the manifest says.

    ``read`` gives the content of a file of the bundle; ``where`` is what it is called in errors.
    """
    graphs = {}
    for artifact in manifest.artifacts:
        try:
            if artifact.file not in graphs:
                content = read(artifact.file)
                if len(content) > limits.GRAPH_BYTES:
                    raise ValueError(f"has {len(content):,} bytes, and at most {limits.GRAPH_BYTES:,} are read")
                graphs[artifact.file] = read_graph(content)
            problem = disagreement(graphs[artifact.file], artifact)
            if not problem:
                profile = artifact.profile
                bounds = artifact.profiles().items()
                for which in ("min", "opt", "max") if profile else ():
                    graphs[artifact.file].check_sizes({name: getattr(bound, which) for name, bound in bounds})
                if not profile:
                    graphs[artifact.file].check_sizes({tensor.name: tensor.shape for tensor in artifact.inputs})
        except ValueError as error:
            problem = str(error)
        if problem:
            raise EdgekitError(
                f"the graph {problem[:300]}",
                where=f"{where}: {artifact.file}",
                fix="get the bundle from whoever exported it; a network of your own has to be exported without that or "
                "smaller (EDGEKIT_MOST_BYTES raises what it may keep at once)",
            )


def contradictions(manifest: Manifest) -> Iterator[str]:
    """Errors that the types alone cannot show, one sentence each; errors after the first may be consequences of it.

    EdgekitError for a name that no file could have.
    """
    for name in manifest.files:
        if not _PLAIN_NAME.fullmatch(name) or name == MANIFEST:
            yield f"the manifest lists a file outside the bundle or with an unusual name: {name!r}"
    if not manifest.artifacts:
        yield "the bundle is incomplete: it has no artifact"
    if not manifest.tasks:
        yield "the bundle is incomplete: it predicts nothing"
    for file in (manifest.golden.file, *(a.file for a in manifest.artifacts)):
        if file not in manifest.files:
            yield f"the bundle is incomplete: '{file}' is used and not among its files"
    names = [task.name for task in manifest.tasks]
    if len(set(names)) < len(names):
        yield f"the tasks' names are not unique: {', '.join(names)}"
    kinds = {task.name: kind_of(task) for task in manifest.tasks}
    for task in manifest.tasks:
        component(task.name, what="the task", where=MANIFEST)
        if not kinds[task.name].predictable:
            yield f"task '{task.name}' is of the kind {task.kind}, which no student predicts"
        try:
            kinds[task.name].check(task)
        except ValueError as error:
            yield f"task '{task.name}': {error}"
    student = manifest.student
    component(student.name, what="the student", where=MANIFEST)
    if min(student.width, student.stride) < 1 or min(student.parameters, student.multiply_adds) < 0:
        yield f"the student is impossible: {student}"
    if student.receptive_field is not None and not student.stride <= student.receptive_field <= limits.SIDE:
        yield f"the student is impossible: {student}"
    yield from _of_preprocessing(manifest.preprocessing)
    tasks = {task.name: (task, kinds[task.name]) for task in manifest.tasks}
    for artifact in manifest.artifacts:
        yield from _of_input(artifact, manifest.preprocessing)
        if not artifact.outputs:
            yield f"'{artifact.file}' has no outputs"
        for output in artifact.outputs:
            yield from _of_output(artifact, output, tasks, student.stride)


def _of_preprocessing(pre: Preprocessing) -> Iterator[str]:
    seen = [component(task.name, what="the modality", where=MANIFEST) for task in pre.modalities]
    if not seen or len(set(seen)) < len(seen) or not set(pre.may_lack) <= set(seen) or seen == list(pre.may_lack[:1]):
        yield f"the network sees {', '.join(seen) or 'nothing'} and may lack {', '.join(pre.may_lack) or 'nothing'}"
    for task in pre.modalities:
        if task.kind != RGB.kind or not 1 <= task.channels <= limits.MODALITY_CHANNELS or task.vector:
            yield f"no network sees '{task.name}': a {task.kind} of {task.channels} channels"
        if not all(map(math.isfinite, task.range)):
            yield f"'{task.name}' is from {task.range[0]} to {task.range[1]}"
    channels = sum(task.channels for task in pre.modalities)
    if channels > limits.MODALITY_CHANNELS or {len(pre.mean), len(pre.std), len(pre.pad)} != {channels}:
        yield f"the pre-processing is not of {channels} channels: {pre}"
    levels = [v for s in pre.sensors() if s.dtype == "uint8" for v in s.pad]
    scales = all(_LEAST <= value <= _MOST for value in (*pre.std, pre.depth_scale))
    if not all(1 <= side <= limits.SIDE for side in pre.size) or not all(0 <= v <= 255 for v in levels) or not scales:
        yield f"the pre-processing is impossible: {pre}"
    if not all(abs(v) <= _MOST for v in (*pre.mean, *pre.pad)):
        yield f"the pre-processing is impossible: {pre}"
    if pre.content and not all(1 <= part <= side for part, side in zip(pre.content, pre.size, strict=True)):
        yield f"frames are to fill {pre.content} of an input of {pre.size}"


def _of_input(artifact: Artifact, pre: Preprocessing) -> Iterator[str]:
    """Check the layout, bounds and frame size of the inputs, and the versions of TensorRT."""
    shape, profile, file = artifact.input.shape, artifact.profile, artifact.file
    if len(shape) != 4:
        yield f"'{file}' has an input of shape {shape}, expected four dimensions"
    if any(isinstance(side, int) and side < 1 for side in shape):
        yield f"'{file}' has '{artifact.input.name}' of the impossible shape {shape}"
    yield from _of_sensors(artifact, pre)
    if profile is None and any(isinstance(side, str) for side in shape):
        yield f"'{file}' leaves sides of its input open, {shape}, and states no bounds"
    bounds = (profile.min, profile.opt, profile.max) if profile else (shape,) * 3
    if any(len(bound) != 4 for bound in bounds):
        yield f"'{file}' has bounds of another number of sides than four: {profile}"
    for side, least, usual, most in zip(shape, *bounds, strict=True):
        if not 1 <= least <= usual <= most or (isinstance(side, int) and not least == side == most):
            yield f"'{file}' has an input {shape} and other bounds: {profile}"
    batch, *sides = _largest(artifact)
    if batch > limits.BATCH or max(sides) > limits.SIDE:
        yield f"'{file}' takes an input of {bounds[2]}, and at most {limits.BATCH} of {limits.SIDE}² are run"
    fixed = [s for s in (shape[1:3] if _channels(artifact) == 3 else shape[2:4]) if isinstance(s, int)]
    if len(fixed) == 2 and tuple(fixed) != pre.size:
        yield f"'{file}' takes an input {shape}, and frames are made {pre.size}"
    if any(t.shape != _like(artifact.input, t, _channels(artifact)) for t in artifact.others):
        yield f"'{file}' has inputs of several batches or sizes: {[t.shape for t in artifact.inputs]}"
    low, high = artifact.tensorrt or ("1", None)
    if not _VERSION.fullmatch(low) or not _VERSION.fullmatch(high or "1"):
        yield f"'{file}' is for the TensorRT {artifact.tensorrt}, which are no versions"


def _of_sensors(artifact: Artifact, pre: Preprocessing) -> Iterator[str]:
    """Check the names, types and channels of the inputs."""
    place = _channels(artifact)
    found = [(t.name, t.dtype, t.shape[place] if len(t.shape) == 4 else None) for t in artifact.inputs]
    if artifact.standardised:
        fits = len(found) == 1 and found[0][1] in ("float16", "float32") and found[0][2] == len(pre.mean)
    else:
        fits = found == [(sensor.input, sensor.dtype, sensor.task.channels) for sensor in pre.sensors()]
    if not fits:
        seen = ", ".join(task.name for task in pre.modalities)
        shown = ", ".join(f"{t.name} {t.shape} {t.dtype}" for t in artifact.inputs)
        yield f"'{artifact.file}' takes {shown}, which is no {seen}"


def _like(first: Tensor, other: Tensor, channels: int) -> tuple[int | str, ...]:
    """The shape of the first input with the channels of another."""
    return (*first.shape[:channels], *other.shape[channels : channels + 1], *first.shape[channels + 1 :])


def _of_output(artifact: Artifact, output: OutputTensor, tasks: dict[str, tuple[Task, Kind]], stride: int):
    """Of its task and form, and of the shape that follows from them."""
    file = artifact.file
    if output.task not in tasks:
        yield f"'{file}' has an output of an unknown task '{output.task}'"
    task, kind = tasks[output.task]
    if output.form not in kind.form_names:
        yield f"'{file}' has {output.form} of '{output.task}', a {kind.name} task"
    if output.stride not in (1, stride):
        yield f"'{file}' has an output of stride {output.stride}, and the student's is {stride}"
    form = kind.form(output.form)
    if output.dtype not in (("uint8",) if form.decided else ("float32", "float16")):
        yield f"'{file}' has '{output.name}' as {output.dtype}, which is no type of {output.form}"
    channels = (kind.channels(task),) if form.content == "planes" else ()
    whole = artifact.input.shape
    batch, height, width = (whole[0], *(whole[1:3] if _channels(artifact) == 3 else whole[2:4]))
    expected = (batch, *channels, *(-(-s // output.stride) if isinstance(s, int) else s for s in (height, width)))
    fixed = [(a, b) for a, b in zip(output.shape, expected, strict=False) if isinstance(a, int) or isinstance(b, int)]
    if len(output.shape) != len(expected) or any(a != b for a, b in fixed):
        yield f"'{file}' has '{output.name}' of the impossible shape {output.shape}, expected {expected}"
    most, *sides = _largest(artifact)
    if most * math.prod((*channels, *sides)) // output.stride**2 * _BYTES[output.dtype] > limits.TENSOR_BYTES:
        yield f"'{file}' has '{output.name}' of more than {limits.TENSOR_BYTES:,} bytes"


def _channels(artifact: Artifact) -> int:
    """Where in its input's shape the colours are."""
    return 1 if artifact.standardised else 3


def _largest(artifact: Artifact) -> tuple[int, int, int]:
    """The most frames that it takes at once, and their size."""
    most = artifact.profile.max if artifact.profile else artifact.input.shape
    return (most[0], *(most[1:3] if _channels(artifact) == 3 else most[2:4]))

"""The child process that drives TensorRT for RTX: ``python -m edgekit.compile.worker FOLDER``.

It reads ``job.json`` and ``model.onnx`` in the folder and writes ``result.json``, and ``engine`` where one came out.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from edgekit.runtime.tensorrt.module import import_rtx

KEPT = ("Layers:", "Total Activation Memory:", "Total Weights Memory:")
"""How the messages begin that the parent reads, of the thousands that a build says."""


def build(job: dict[str, Any], model: bytes) -> tuple[dict[str, Any], bytes | None]:
    """(what happened, the engine or None). ``job``: see ``edgekit.compile.compiler.compile_model``; with ``parse_only``
    nothing is built."""
    trt = import_rtx()
    said: list[tuple[str, str]] = []

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity.name in ("ERROR", "INTERNAL_ERROR", "WARNING") or message.startswith(KEPT):
                said.append((severity.name, message))

    log = Log()
    result: dict[str, Any] = {"version": trt.__version__, "refusals": [], "said": said, "seconds": None}
    names = ["SM" + word.replace(".", "") for word in job["compute_capabilities"]]
    if not set(names) <= set(trt.ComputeCapability.__members__):
        known = [f"{n[2:-1]}.{n[-1]}" for n in trt.ComputeCapability.__members__ if n.startswith("SM")]
        return {**result, "unknown": known}, None
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        result["refusals"] = [
            {"what": e.desc(), "node": e.node_name(), "operator": e.node_operator(), "by": "parser"} for e in errors
        ]
    if result["refusals"] or job.get("parse_only"):
        return result, None
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = len(names)
    for place, name in enumerate(names):
        config.set_compute_capability(getattr(trt.ComputeCapability, name), place)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        bounds = job["profiles"].get(tensor.name)
        if bounds and tensor.is_shape_tensor:
            profile.set_shape_input(tensor.name, *bounds)
        elif bounds and -1 in tuple(tensor.shape):
            profile.set_shape(tensor.name, *bounds)
    if job["profiles"]:
        config.add_optimization_profile(profile)
    began = time.monotonic()
    engine = builder.build_serialized_network(network, config)
    result["seconds"] = time.monotonic() - began
    if engine is None:
        # Join all error messages; the last is the cause, earlier ones the context.
        errors = [text for severity, text in said if severity in ("ERROR", "INTERNAL_ERROR")]
        what = "; ".join(errors) or "it gives no reason"
        result["refusals"] = [{"what": what, "node": "", "operator": "", "by": "builder"}]
    return result, None if engine is None else bytes(engine)


def main() -> None:
    folder = Path(sys.argv[1])
    result, engine = build(json.loads((folder / "job.json").read_text("utf-8")), (folder / "model.onnx").read_bytes())
    if engine is not None:
        (folder / "engine").write_bytes(engine)
    (folder / "result.json").write_text(json.dumps(result), "utf-8")
    sys.stderr.flush()
    os._exit(0)  # not through the library's destructors, which can wait for ever


if __name__ == "__main__":
    main()

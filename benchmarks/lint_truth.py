"""What `edgekit lint` says of onnx's own 2,000 test models, beside what NVIDIA's compiler says of them.

    nice python benchmarks/lint_truth.py build/lint_truth            # minutes of one core; goes on where it was stopped
    python benchmarks/lint_truth.py build/lint_truth --show passed   # what lint passes and the parser refuses

Each model is parsed and built by TensorRT for RTX in a child process, with the shapes and values of the test's own
inputs as its profile; a model that ends the process is written down as that, and the next process goes on behind it.
FOLDER keeps the models, and in ``truth.jsonl`` what the compiler said of each, so that a change of lint costs a minute.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edgekit.boards.lookup import find_board, find_jetpack
from edgekit.compile import worker
from edgekit.errors import EdgekitError
from edgekit.graphs.read import tensor_shape
from edgekit.preflight.finding import Target
from edgekit.preflight.lint import LintReport, lint
from edgekit.preflight.network import Network

FOLDERS = ("pytorch-converted", "pytorch-operator", "simple")  # of onnx/backend/test/data
BOARD, JETPACK = "agx-orin-64gb", "7.2"
# What the parser does by plugins of libnvinfer_plugin, which TensorRT has on a Jetson and TensorRT for RTX has not; the
# last are the words that it has for the reductions of ScatterElements.
PLUGINS = ("(DeformConv)", "(NonZero)", "(RoiAlign)", "Unsupported reduction type")
# What the builder says where an input has to be a constant.
CONSTANT = "must be a build time constant"
_CPU_S, _LONGEST_S = 120, 1800  # of one model
PARSED = "parsed"  # and not built yet


@dataclass(frozen=True)
class Truth:
    """What the compiler said of a model. ``by``: empty where it built; parser, builder or crash where it was refused;
    "parsed" where it was not built yet."""

    name: str
    by: str
    said: tuple[str, ...] = ()

    @property
    def wants_plugin(self) -> bool:
        """Whether it was refused for a plugin of TensorRT's that TensorRT for RTX does not come with."""
        return self.by == "parser" and any(word in said for said in self.said for word in PLUGINS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where models and answers are kept")
    parser.add_argument("--show", choices=["passed", "alarms"], help="list these models, with what was said of them")
    options = parser.parse_args()
    models = collected(options.folder / "models")
    found = truths(models, options.folder / "truth.jsonl")
    rows = []
    for name, truth in found.items():
        report = linted(models[name])
        rows.append((truth, report))
    print(table(rows))
    if options.show:
        show(rows, options.show)


def collected(folder: Path) -> dict[str, Path]:
    """Name → file of every model; written once, with ``NAME.json`` beside it: input → bounds of its profile."""
    if not (folder / "whole").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name, model, inputs in _cases():
            (folder / f"{name}.json").write_text(json.dumps(profile(model, inputs)), "utf-8")
            (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
        (folder / "whole").touch()
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def _cases() -> Iterator[tuple[str, onnx.ModelProto, list[np.ndarray | None]]]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in collect_testcases(None):
            if case.model is not None:
                inputs = case.data_sets[0][0] if case.data_sets else []
                yield case.name, case.model, [_array(value) for value in inputs]
    data = Path(onnx.__file__).parent / "backend/test/data"
    for path in sorted(path for name in FOLDERS for path in (data / name).glob("*/model.onnx")):
        inputs = []
        for place in range(len(list(path.parent.glob("test_data_set_0/input_*.pb")))):
            content = (path.parent / f"test_data_set_0/input_{place}.pb").read_bytes()
            try:
                inputs.append(numpy_helper.to_array(onnx.TensorProto.FromString(content)))
            except Exception:  # a sequence or an optional: no tensor, and no profile
                inputs.append(None)
        yield f"{path.parent.parent.name}-{path.parent.name}", onnx.load(path), inputs


def _array(value: object) -> np.ndarray | None:
    return np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None


def profile(model: onnx.ModelProto, inputs: list[np.ndarray | None]) -> dict[str, list[list[int]]]:
    """Bounds of each input: its shape where that is open, else the values of a short list of integers, which may be a
    shape. The compiler's process takes from it what it needs."""
    constants = {tensor.name for tensor in model.graph.initializer}
    found = {}
    for value, array in zip((v for v in model.graph.input if v.name not in constants), inputs, strict=False):
        if array is None or not value.type.HasField("tensor_type"):
            continue
        is_open = not all(isinstance(side, int) for side in tensor_shape(value))
        if is_open:
            found[value.name] = [list(array.shape)] * 3
        elif array.dtype.kind in "iub" and array.ndim < 2 and array.size <= 64:
            found[value.name] = [[int(number) for number in array.ravel()]] * 3
    return found


def truths(models: dict[str, Path], kept: Path) -> dict[str, Truth]:
    """What the compiler says of every model; what ``kept`` has is not asked again. All are parsed first, then built."""
    for parse_only in (True, False):
        while waiting := _waiting(models, kept, parse_only):
            child = multiprocessing.get_context("spawn").Process(target=_ask, args=(waiting, kept, parse_only))
            child.start()
            child.join()
            if child.exitcode:  # the first of which nothing is known is the one that ended it
                name = next(iter(_waiting(models, kept, parse_only)))
                _keep(kept, Truth(name, "crash", (f"the process ended with {child.exitcode}",)))
    found = _kept(kept)
    return {name: found[name] for name in models}


def _waiting(models: dict[str, Path], kept: Path, parse_only: bool) -> dict[str, Path]:
    found = _kept(kept)
    return {
        name: path for name, path in models.items() if (name not in found if parse_only else found[name].by == PARSED)
    }


def _kept(path: Path) -> dict[str, Truth]:
    """The last line of each model counts."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {(said := json.loads(line))["name"]: Truth(said["name"], said["by"], tuple(said["said"])) for line in lines}


def _keep(path: Path, truth: Truth) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(truth)) + "\n")


def _ask(models: dict[str, Path], kept: Path, parse_only: bool) -> None:
    """In a process of its own, until a model ends it: by a crash, or by the alarm."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the library prints there what it also logs
    for name, path in models.items():
        signal.setitimer(signal.ITIMER_PROF, _CPU_S)
        signal.alarm(_LONGEST_S)
        job = {
            "compute_capabilities": ["8.6"],
            "profiles": json.loads(path.with_suffix(".json").read_text("utf-8")),
            "parse_only": parse_only,
        }
        result, _ = worker.build(job, path.read_bytes())
        refusals = result["refusals"] or (constant_inputs(job, path.read_bytes()) if not parse_only else [])
        by = refusals[0]["by"] if refusals else PARSED if parse_only else ""
        _keep(kept, Truth(name, by, tuple(f"{r['node']} ({r['operator']}): {r['what']}" for r in refusals)))
    os._exit(0)  # not through the library's destructors, which can wait for ever


def constant_inputs(job: dict, model: bytes) -> list[dict]:
    """What the builder refuses of a model that it takes, once an input of one number may have another value.

    The profile of one value, as the test has it, makes a constant of such an input: an axis, say.
    """
    alone = {name: bounds for name, bounds in job["profiles"].items() if len(bounds[0]) == 1}
    if not alone:
        return []
    wider = {name: [low, usual, [high[0] + 1]] for name, (low, usual, high) in alone.items()}
    result, _ = worker.build({**job, "profiles": job["profiles"] | wider}, model)
    return [refusal for refusal in result["refusals"] if CONSTANT in refusal["what"]]


def linted(path: Path) -> LintReport | None:
    """None where the graph is none that onnx can read."""
    target = Target(find_board(BOARD), find_jetpack(JETPACK))
    try:
        return lint(Network(onnx.load(path)), target, path.stem)
    except (onnx.shape_inference.InferenceError, EdgekitError):
        return None


def table(rows: list[tuple[Truth, LintReport | None]]) -> str:
    """How often lint and the compiler agree, as a table in Markdown."""
    verdicts = Counter((_verdict(report), "plugin" if truth.wants_plugin else truth.by) for truth, report in rows)
    columns = {
        "": "builds",
        PARSED: "parsed, not built yet",
        "builder": "the builder refuses",
        "parser": "the parser refuses",
        "plugin": "the parser lacks a plugin",
        "crash": "crashes",
    }
    shown = [by for by in columns if any(verdicts[kind, by] for kind in VERDICTS)]
    head = f"| {len(rows)} models, lint for {BOARD}, JetPack {JETPACK} | {' | '.join(columns[by] for by in shown)} |"
    lines = [head, "|---" + "|--:" * len(shown) + "|"]
    lines += [f"| {kind} | {' | '.join(str(verdicts[kind, by]) for by in shown)} |" for kind in VERDICTS]
    return "\n".join(lines)


VERDICTS = ("would build", "would not", "newer opset")


def _verdict(report: LintReport | None) -> str:
    """``newer opset``: what lint has against it is that alone."""
    if report is None:
        return "would not"
    errors = {finding.rule for finding in report.findings if finding.level == "error"}
    return "would build" if not errors else "newer opset" if errors == {"opset"} else "would not"


def show(rows: list[tuple[Truth, LintReport | None]], which: str) -> None:
    """``passed``: lint passes and it does not build. ``alarms``: lint refuses, and not for its opset, and it builds."""
    for truth, report in rows:
        verdict = _verdict(report)
        if which == "passed" and verdict == "would build" and truth.by not in ("", PARSED):
            print(f"{truth.name}: {truth.by}: {'; '.join(truth.said)[:300]}")
        if which == "alarms" and verdict == "would not" and truth.by in ("", PARSED) and report:
            errors = [f for f in report.findings if f.level == "error"]
            if all(f.rule != "opset" for f in errors):
                print(f"{truth.name}: {truth.by}: {'; '.join(f'{f.rule}: {f.why}' for f in errors)}")


if __name__ == "__main__":
    main()

"""The onnxruntime backend: a session per artifact, on the CPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.bundle.bundle import Bundle
from edgekit.bundle.graph import read_graph
from edgekit.bundle.manifest import Artifact
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Backend, Options

_NOWHERE = "/nonexistent"  # a folder that no system has
_ERRORS_OFF = 4  # severity: only what ends the process; what it would print is in the exception


class OnnxRuntime(Backend):
    """An onnxruntime session. It reads every lane's file: those for TensorRT can be checked without one."""

    name = "onnxruntime"
    lanes = ("onnxruntime", "weak", "strong", "cache")

    @classmethod
    def choose(cls, bundle: Bundle, lane: str | None, precision: str | None, options: Options) -> Artifact:
        artifact = super().choose(bundle, lane, precision, options)
        by_the_builder = {"weak": ("fp16",), "cache": ("fp16", "int8")}.get(artifact.lane, ())
        if artifact.precision in by_the_builder:
            raise EdgekitError(
                f"in the {artifact.lane} lane TensorRT makes {artifact.precision} itself: the file holds fp32",
                where=str(bundle.source),
                fix=f"ask for fp32 in the {artifact.lane} lane, or for int8 in the onnxruntime lane",
            )
        return artifact

    def __init__(self, bundle: Bundle, artifact: Artifact, options: Options):
        onnxruntime = _onnxruntime()
        self.artifact = artifact
        self._where = str(bundle.path(artifact.file))
        self._threads = _threads(options.threads)
        self._version = onnxruntime.__version__
        # From memory: what was checked is what runs, and a graph cannot name other files to be read.
        content = bundle.read(artifact.file)
        # Where sides are open, sizes between the bounds that were checked are checked when they come.
        self._graph, self._checked = read_graph(content) if artifact.profile else None, set()
        try:
            self._session = onnxruntime.InferenceSession(
                content, sess_options=self._session_options(onnxruntime), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no common base class for what it raises
            raise EdgekitError(
                f"onnxruntime {self._version} cannot load the network: {_first_line(error)}",
                where=self._where,
                fix="update onnxruntime, or choose another precision or lane of the bundle",
            ) from error

    def _session_options(self, onnxruntime: Any) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ERRORS_OFF
        # A graph from memory that names files for its weights would have them read from the working directory.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
        # Threads spin while a network runs and sleep in between, when other code needs the cores.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        return options

    def run(self, feed: np.ndarray, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        if self._session is None:
            raise ValueError("the backend is closed")
        if self._graph and feed.shape not in self._checked:
            self._check(feed.shape)
        try:
            outputs = self._session.run(list(wanted), {self.artifact.input.name: feed})
        except Exception as error:
            raise EdgekitError(
                f"onnxruntime {self._version} cannot run the network on an input {feed.shape} {feed.dtype}: "
                f"{_first_line(error)}",
                where=self._where,
                fix=f"the input is {self.artifact.input.shape} {self.artifact.input.dtype}; if that is what it got, "
                "update onnxruntime or export the bundle again",
            ) from error
        return dict(zip(wanted, outputs, strict=True))

    def _check(self, shape: tuple[int, ...]) -> None:
        try:
            self._graph.check_sizes({self.artifact.input.name: shape})
        except ValueError as error:
            fix = "give another number of frames, or raise EDGEKIT_MOST_BYTES where it is your own"
            raise EdgekitError(f"for an input {shape} the graph {error}", where=self._where, fix=fix) from error
        self._checked.add(shape)

    def describe(self) -> dict[str, Any]:
        return {
            "backend": self.name,
            "runtime": f"onnxruntime {self._version}",
            "device": "cpu",
            "lane": self.artifact.lane,
            "precision": self.artifact.precision,
            "file": self.artifact.file,
            "threads": self._threads,
        }

    def close(self) -> None:
        self._session = None


def usable_cores() -> int:
    """The cores this process may run on, which a container or taskset may have made fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads(asked: int | None) -> int:
    """EdgekitError for more threads than cores: they would wait for each other."""
    cores = usable_cores()
    if asked is not None and not 1 <= asked <= cores:
        fix = f"give --threads 1 to {cores}, or leave it out to use all {cores}"
        raise EdgekitError(f"{asked} threads, where this process may use {cores} core(s)", where="--threads", fix=fix)
    return asked or cores


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise EdgekitError(
            "the onnxruntime backend needs the package 'onnxruntime', which is not installed",
            where=f"this Python: {sys.executable}",
            fix="pip install 'edgekit[cpu]'",
        ) from None
    return onnxruntime


def _first_line(error: Exception) -> str:
    return f"{error}".strip().partition("\n")[0] or type(error).__name__

"""What an export says of NVIDIA's compiler, in the parity table: taken, refused, or not asked."""

from __future__ import annotations

import pytest

from edgekit.bundle.manifest import Artifact, Tensor
from edgekit.compile.compiler import Compiled, Engine, Refusal
from edgekit.compile.kernels import EngineKernel, KernelTensor
from edgekit.pipeline import compile as room
from edgekit.pipeline.compile import NOT_COMPILED, compile_export, compiler_rows


def kernel(kind: str, read: str) -> EngineKernel:
    return EngineKernel("k", kind, (KernelTensor("x", (1, 8, 4, 4), read),), (), ("node",))


def engine(*not_understood: str) -> Engine:
    kernels = (kernel("correlation", "INT8"), kernel("deconv", "FP16"), kernel("pointwise", "FP32"))
    return Engine(b"", kernels, not_understood, 1.0, None, None)


def test_without_the_compiler_every_file_for_tensorrt_is_told(monkeypatch):
    monkeypatch.setattr(room, "is_there", lambda: False)
    frames = Tensor("frames", "uint8", (1, 8, 8, 3))
    artifacts = [
        Artifact("fp32.onnx", "onnxruntime", "fp32", 17, frames, ()),
        Artifact("int8-strong.onnx", "strong", "int8", 19, frames, (), None, ("10", None)),
    ]
    (row,) = compiler_rows(compile_export(artifacts, {"fp32.onnx": b"", "int8-strong.onnx": b""}, None))
    assert (row["task"], row["metric"], row["holds"]) == ("int8-strong.onnx", NOT_COMPILED, None)


@pytest.mark.parametrize(
    ("compiled", "words", "holds"),
    [
        (
            Compiled("f", "1.7.1", engine(), (), ()),
            "taken, 1 of 2 convolutions in INT8, 1 of 2 convolutions in FP16, 3 kernels",
            True,
        ),
        (Compiled("f", "1.7.1", engine("odd"), (), ()), ", 1 line(s) of its table not understood, 3 kernels", True),
        (
            Compiled("f", "1.7.1", None, (Refusal("no such thing", "n", "Unique", "parser"),), ()),
            "refused: 'n' (Unique): no such thing",
            False,
        ),
    ],
)
def test_what_became_of_a_file(compiled, words, holds):
    (row,) = compiler_rows({"f": compiled})
    assert words in row["metric"] and row["holds"] is holds and row["step"] == "NVIDIA's compiler 1.7.1"
    assert {"step", "task", "metric", "value", "limit", "holds"} == row.keys()

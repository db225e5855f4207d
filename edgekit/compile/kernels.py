"""The kernels of an engine, from the table that TensorRT for RTX logs when it has built one.

With detailed profiling verbosity the builder ends with a message ``Layers:`` and one line per layer:
``Name: …, LayerType: …, Inputs: [ { Name: …, Dimensions: […], …, Datatype: … }, …], Constants: […], Outputs: […],
TacticName: …, StreamId: …, Metadata: [ONNX Layer: …]…``. Releases 1.4 to 1.7 differ in what they say of a tensor, and
the format is not documented: a line that is not understood is handed back, and not guessed at.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

TABLE = "Layers:"
_LINE = re.compile(r"Name: (?P<name>.*?), LayerType: (?P<kind>[^,]+), Inputs: \[(?P<rest>.*)", re.DOTALL)
_TENSOR = re.compile(
    r"\{ Name: (?P<name>.*?), (?:Location: \w+, )?Dimensions: \[(?P<shape>[-\d, ]*)\], "
    r"(?:[^{}]*?, )?(?:Format/)?Datatype: (?P<type>\w+)[^{}]*\}"
)
_NODE = re.compile(r"\[ONNX Layer: (.*?)\](?=\x1e|\x1f|\[|\s*$)")
_NO_KERNELS = frozenset({"shape_call", "signal", "wait"})
_TYPES = {"Float": "FP32", "Half": "FP16", "Int8": "INT8", "UInt8": "UINT8", "Int32": "INT32", "Int64": "INT64"}
_CONVOLUTIONS = frozenset({"correlation", "deconv"})


@dataclass(frozen=True)
class KernelTensor:
    """What a kernel reads or writes. ``shape``: −1 where a profile leaves it open; ``type``: INT8, FP16, FP32, …"""

    name: str
    shape: tuple[int, ...]
    type: str


@dataclass(frozen=True)
class EngineKernel:
    """One launch on the GPU. ``kind`` is the compiler's word for it; ``nodes``: ONNX nodes that are in it, in part or
    whole. ``reads`` are activations, not weights."""

    name: str
    kind: str
    reads: tuple[KernelTensor, ...]
    writes: tuple[KernelTensor, ...]
    nodes: tuple[str, ...]

    @property
    def convolves(self) -> bool:
        """Whether it is a convolution. Those that the compiler fuses when the engine is loaded say so in their name."""
        return self.kind in _CONVOLUTIONS or (self.kind == "runtime_fusion" and "Corr" in self.name)

    @property
    def precision(self) -> str:
        """The type that it reads, of the first activation: what a convolution multiplies."""
        return self.reads[0].type if self.reads else "none"


def kernels_of(message: str) -> tuple[tuple[EngineKernel, ...], tuple[str, ...]]:
    """(kernels in the order they run, lines that were not understood) of the builder's ``Layers:`` message.

    What runs on the host, such as the arithmetic of open shapes, is no kernel, nor where one stream waits for another.
    """
    found, strange = [], []
    for line in _lines(message):
        kernel = _kernel(line)
        if kernel is None:
            strange.append(line)
        elif kernel.kind not in _NO_KERNELS:
            found.append(kernel)
    return tuple(found), tuple(strange)


def count(kernels: Sequence[EngineKernel]) -> dict[str, Any]:
    """How many there are: all, convolutions by the type they read, and the others by the compiler's word for them."""
    convolutions = [kernel for kernel in kernels if kernel.convolves]
    return {
        "kernels": len(kernels),
        "convolutions": len(convolutions),
        "convolutions_reading": dict(Counter(kernel.precision for kernel in convolutions).most_common()),
        "others": dict(Counter(kernel.kind for kernel in kernels if not kernel.convolves).most_common()),
    }


def _lines(message: str) -> Iterator[str]:
    """The table's lines: from ``Layers:`` to the empty line behind it."""
    table = message.partition(TABLE)[2].partition("\n\n")[0]
    for line in table.split("\n"):
        if line.strip():
            yield line


def _kernel(line: str) -> EngineKernel | None:
    parts = _LINE.fullmatch(line)
    if parts is None:
        return None
    reads, rest = _until_closed(parts["rest"])
    if rest.startswith(", Constants: ["):
        rest = _until_closed(rest.removeprefix(", Constants: ["))[1]
    if not rest.startswith(", Outputs: ["):
        return None
    writes, rest = _until_closed(rest.removeprefix(", Outputs: ["))
    inputs, outputs = _tensors(reads), _tensors(writes)
    if inputs is None or outputs is None:
        return None
    metadata = rest.partition("Metadata: ")[2]
    nodes = tuple(dict.fromkeys(_NODE.findall(metadata)))
    return EngineKernel(parts["name"], parts["kind"].strip(), inputs, outputs, nodes)


def _until_closed(text: str) -> tuple[str, str]:
    """(up to the bracket that closes the list we are in, what is behind it)."""
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if depth == 0:
            return text[:place], text[place + 1 :]
    return text, ""


def _tensors(text: str) -> tuple[KernelTensor, ...] | None:
    """None where the list holds something that is no tensor."""
    found = tuple(
        KernelTensor(
            part["name"], tuple(int(side) for side in part["shape"].split(",") if side.strip()), _type(part["type"])
        )
        for part in _TENSOR.finditer(text)
    )
    left = _TENSOR.sub("", text)
    return None if left.strip(" ,") else found


def _type(word: str) -> str:
    return _TYPES.get(word, word.upper())

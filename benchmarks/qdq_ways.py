"""Ways to write Q/DQ in an ONNX file, and what NVIDIA's compiler makes of each: kernels, convolutions, their types.

    python benchmarks/qdq_ways.py

Small networks whose weights and ranges are made up, for kernels do not depend on them. TensorRT for RTX (extra
`edgekit[rtx]`) builds them without a GPU. Prints the figures of the two tables of docs/compiler.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from edgekit.compile.compiler import USUAL_CAPABILITIES, Compiled, check_installed, compile_model
from edgekit.compile.kernels import count
from edgekit.pipeline.compile import student_files
from edgekit.students.student import Student
from edgekit.tasks import Task

OPSET = 19  # QuantizeLinear takes float16 from 19 on
TASK = Task("semantic", "semantic", classes=tuple("abcdefgh"))


@dataclass(frozen=True)
class Way:
    """How convolutions and their Q/DQ are written; what is not named is as in edgekit's strong lane."""

    floats: str = "float16"
    per_channel: bool = True
    bias: str = "conv"  # conv, add or none
    activation: str | None = "Relu"
    scale: float = 0.05
    weight_scale: float = 0.01
    stored: bool = False  # weights as integers behind a DequantizeLinear alone
    channels: int = 32
    kernel: int = 3
    size: tuple[int, int] = (56, 96)
    last: bool = True  # Q/DQ behind the last convolution


@dataclass
class Graph:
    """An ONNX graph as it is written, node by node; tensors are named by a number."""

    way: Way
    nodes: list = field(default_factory=list)
    constants: list = field(default_factory=list)

    def constant(self, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(array, f"c{len(self.constants)}"))
        return self.constants[-1].name

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def qdq(self, tensor: str) -> str:
        scale = self.constant(np.array(self.way.scale, self.way.floats))
        zero = self.constant(np.array(0, np.int8))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", tensor, scale, zero), scale, zero)

    def conv(self, tensor: str) -> str:
        """A convolution with its weights' Q/DQ, its bias and its activation; the input's Q/DQ is the caller's."""
        way, n, rng = self.way, self.way.channels, np.random.default_rng(len(self.nodes))
        weights = rng.integers(-127, 128, (n, n, way.kernel, way.kernel)).astype(np.int8)
        count = n if way.per_channel else ()
        scale, zero = (
            self.constant(np.full(count, way.weight_scale, way.floats)),
            self.constant(np.zeros(count, np.int8)),
        )
        axis = {"axis": 0} if way.per_channel else {}
        if way.stored:
            kept = self.constant(weights)
        else:
            kept = self.node(
                "QuantizeLinear", self.constant((weights * way.weight_scale).astype(way.floats)), scale, zero, **axis
            )
        inputs = [tensor, self.node("DequantizeLinear", kept, scale, zero, **axis)]
        bias = rng.normal(size=n).astype(way.floats)
        if way.bias == "conv":
            inputs.append(self.constant(bias))
        pad = way.kernel // 2
        out = self.node("Conv", *inputs, kernel_shape=[way.kernel] * 2, pads=[pad] * 4)
        if way.bias == "add":
            out = self.node("Add", out, self.constant(bias.reshape(1, n, 1, 1)))
        return self.node(way.activation, out) if way.activation else out

    def resize(self, tensor: str, mode: str = "linear") -> str:
        sizes = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.node("Resize", tensor, "", sizes, mode=mode, coordinate_transformation_mode="asymmetric",
                         nearest_mode="floor")  # fmt: skip

    def model(self, output: str) -> bytes:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.way.floats))
        frame = helper.make_tensor_value_info("x", kind, [1, self.way.channels, *self.way.size])
        answer = helper.make_tensor_value_info(output, kind, ["batch", "channels", "height", "width"])
        graph = helper.make_graph(self.nodes, "ways", [frame], [answer], self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        made: ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=9)
        return made.SerializeToString()


def chain(way: Way) -> bytes:
    """Three convolutions in a row, each with Q/DQ before it, and one behind the last."""
    graph, at = Graph(way), "x"
    for _ in range(3):
        at = graph.conv(graph.qdq(at))
    return graph.model(graph.qdq(at) if way.last else at)


def residual(identity: str, *, both: bool = False, exchanged: bool = False) -> bytes:
    """Four convolutions; the second's answer and the first's are summed. The sum's identity ``shares`` the Q/DQ of the
    second convolution's input, has its ``own``, or ``none``. ``both``: the other branch has Q/DQ too."""
    graph = Graph(Way())
    first = graph.conv(graph.qdq("x"))
    shared = graph.qdq(first)
    second = graph.conv(graph.qdq(graph.conv(shared)))
    branches = [graph.qdq(second) if both else second]
    branches.append({"shares": shared, "own": graph.qdq(first) if identity == "own" else first}.get(identity, first))
    summed = graph.node("Add", *(reversed(branches) if exchanged else branches))
    return graph.model(graph.qdq(graph.conv(graph.qdq(summed))))


def resized(before: bool, behind: bool, mode: str) -> bytes:
    """Two convolutions with a Resize between them, and Q/DQ before or behind it."""
    graph = Graph(Way())
    at = graph.conv(graph.qdq("x"))
    at = graph.resize(graph.qdq(at) if before else at, mode)
    return graph.model(graph.qdq(graph.conv(graph.qdq(at) if behind else at)))


def two_resized(branches: int, behind: bool) -> bytes:
    """Three convolutions: the sum of two that are resized is what the third reads. ``branches`` with Q/DQ, 0 to 2."""
    graph = Graph(Way())
    x = graph.qdq("x")
    ends = [graph.resize(graph.conv(x)) for _ in range(2)]
    ends = [graph.qdq(end) if place < branches else end for place, end in enumerate(ends)]
    summed = graph.node("Add", *ends)
    return graph.model(graph.qdq(graph.conv(graph.qdq(summed) if behind else summed)))


def repseg(capability: str) -> Compiled:
    """The INT8 file of a whole student, as recipes export it, built for one compute capability."""
    files = {file.name: file for file in student_files(Student("repseg", [TASK]).eval(), (112, 192))}
    return compile_model(files["int8-strong.onnx"].model, "repseg", capabilities=(capability,))


CHAINS: dict[str, Sequence[Way]] = {
    "edgekit's strong lane: float16 types and scales, weights per channel, bias in the convolution, ReLU behind it": [
        Way()
    ],
    "float32 types and scales": [Way(floats="float32")],
    "weights per tensor, float16": [Way(per_channel=False)],
    "weights per tensor, float32": [Way(per_channel=False, floats="float32")],
    "weights stored as integers behind a DequantizeLinear alone": [Way(stored=True)],
    "bias as an Add of its own": [Way(bias="add")],
    "no bias; no bias and no ReLU": [Way(bias="none"), Way(bias="none", activation=None)],
    "all activation scales 1, all weight scales 1, per tensor": [Way(scale=1, weight_scale=1, per_channel=False)],
    "scales that are powers of two; per tensor": [
        Way(scale=2**-4, weight_scale=2**-7),
        Way(scale=2**-4, weight_scale=2**-7, per_channel=False),
    ],
    "Sigmoid, Tanh, HardSwish or Elu for ReLU": [Way(activation=a) for a in ("Sigmoid", "Tanh", "HardSwish", "Elu")],
    "kernels of 1×1 and 5×5": [Way(kernel=1), Way(kernel=5)],
    "5, 8, 16, 24, 48, 64, 128, 256 channels": [Way(channels=n) for n in (5, 8, 16, 24, 48, 64, 128, 256)],
    "maps of 7×12, 28×48, 272×480 and 544×960": [Way(size=s) for s in ((7, 12), (28, 48), (272, 480), (544, 960))],
    "no Q/DQ behind the last convolution": [Way(last=False)],
}
AROUND: dict[str, Sequence[Callable[[], bytes]]] = {
    "four convolutions, a residual sum: its identity shares the Q/DQ of the next one, has its own, or has none": [
        lambda: residual("shares"),
        lambda: residual("own"),
        lambda: residual("none"),
    ],
    "both branches of the sum quantized": [lambda: residual("own", both=True)],
    "any of these with the branches of the Add exchanged": [
        lambda: residual("shares", exchanged=True),
        lambda: residual("own", exchanged=True),
        lambda: residual("none", exchanged=True),
        lambda: residual("own", both=True, exchanged=True),
    ],
    "two convolutions with a Resize (nearest, linear) between them, Q/DQ behind it": [
        lambda: resized(False, True, "nearest"),
        lambda: resized(False, True, "linear"),
    ],
    "before and behind it": [lambda: resized(True, True, "nearest"), lambda: resized(True, True, "linear")],
    "before the Resize alone": [lambda: resized(True, False, "linear")],
    "the sum of two Resizes, Q/DQ behind the sum; and on one branch": [
        lambda: two_resized(0, True),
        lambda: two_resized(1, True),
    ],
    "Q/DQ on both branches, none behind the sum": [lambda: two_resized(2, False)],
}


def row(what: str, found: Iterable[Compiled]) -> str:
    """Kernels, convolutions by the type that they read, types that they write; each once where variants agree."""
    cells: list[dict[str, None]] = [{}, {}, {}]
    for compiled in found:
        if compiled.engine is None:
            cells[0][f"refused: {compiled.refusals[0]}"] = None
            continue
        kernels = compiled.engine.kernels
        counted = count(kernels)
        cells[0][str(counted["kernels"])] = None
        cells[1][" and ".join(f"{n} {kind}" for kind, n in counted["convolutions_reading"].items())] = None
        cells[2][" and ".join(sorted({k.writes[0].type for k in kernels if k.convolves}))] = None
    return "| " + " | ".join([what, *("; ".join(cell) for cell in cells)]) + " |"


def tables() -> Iterator[str]:
    head = "| what was changed | kernels | convolutions, by what they read | what they write |\n|---|--:|---|---|"
    yield head
    for what, ways in CHAINS.items():
        yield row(what, (compile_model(chain(way), what) for way in ways))
    yield row(
        "built for 8.0, 8.6, 8.9, 12.0 or 12.1 (a whole `repseg`)",
        map(repseg, ("8.0", "8.6", "8.9", "12.0", "12.1")),
    )
    yield "\n" + head
    for what, makers in AROUND.items():
        yield row(what, (compile_model(make(), what) for make in makers))


def main() -> None:
    check_installed()
    version = compile_model(chain(Way()), "version").version
    print(f"TensorRT for RTX {version}, {', '.join(USUAL_CAPABILITIES)} unless a row says otherwise\n")
    for line in tables():
        print(line, flush=True)


if __name__ == "__main__":
    main()

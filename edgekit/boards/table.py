"""The data file of boards and JetPacks, as plain objects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("boards.yaml")


@dataclass(frozen=True)
class Board:
    """One module, at one set of clocks: a ``-super`` row is the same module in its Super power modes.

    sm             CUDA compute capability, as "8.7"
    memory_gb      as sold; shared by CPU and GPU
    advertised     the vendor's advertised figure, and what it counts
    int8_tops, fp16_tflops  of the GPU's tensor cores, dense, at the highest clock
    memory_gbs     GB/s
    dla_int8_tops  of all DLA cores together, dense
    power_modes    names, roughly as nvpmodel prints them
    jetpacks       versions that run on it, oldest first
    models         parts of /proc/device-tree/model, lower case
    modules        part numbers in /proc/device-tree/compatible
    unverified     names of the fields above that were not checked against a published figure
    """

    name: str
    title: str
    sm: str
    memory_gb: int
    advertised: str
    int8_tops: float
    fp16_tflops: float
    memory_gbs: float
    cuda_cores: int
    gpu_mhz: int
    dla_cores: int
    dla_int8_tops: float
    power_modes: tuple[str, ...]
    jetpacks: tuple[str, ...]
    models: tuple[str, ...]
    modules: tuple[str, ...]
    unverified: tuple[str, ...] = ()

    @property
    def fp32_tflops(self) -> float:
        """Of the CUDA cores, two operations a clock each; tensor cores' TF32 is not counted."""
        return 2e-6 * self.cuda_cores * self.gpu_mhz

    @property
    def is_super(self) -> bool:
        return self.name.endswith("-super")


@dataclass(frozen=True)
class JetPack:
    """One JetPack. ``l4t``: first and last release that carries it; ``opset``: newest ONNX opset its parser reads."""

    version: str
    l4t: tuple[str, str]
    tensorrt: str
    cuda: str
    python: str
    dla: bool
    opset: int
    unverified: tuple[str, ...] = ()


@dataclass(frozen=True)
class OldBoard:
    """A board that edgekit knows and does not support, and why."""

    name: str
    title: str
    models: tuple[str, ...]
    modules: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class OldJetPack:
    """A JetPack that edgekit knows and does not support, and why."""

    version: str
    l4t: tuple[str, str]
    why: str
    fix: str | None = None


@dataclass(frozen=True)
class BoardTable:
    """The whole file. ``opsets``: first TensorRT version → newest opset, oldest first."""

    boards: dict[str, Board]
    old_boards: dict[str, OldBoard]
    jetpacks: dict[str, JetPack]
    old_jetpacks: dict[str, OldJetPack]
    opsets: dict[str, int]

    def opset(self, tensorrt: str) -> int:
        """The newest ONNX opset that this TensorRT's parser reads; the oldest row's for anything older."""
        found = next(iter(self.opsets.values()))
        for first, opset in self.opsets.items():
            if numbers(tensorrt) >= numbers(first):
                found = opset
        return found


@cache
def table() -> BoardTable:
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    opsets = BoardTable({}, {}, {}, {}, document["opsets"])
    jetpacks = {
        version: JetPack(version, opset=opsets.opset(row["tensorrt"]), **_frozen(row))
        for version, row in document["jetpacks"].items()
    }
    return BoardTable(
        {name: Board(name, **_frozen(row)) for name, row in document["boards"].items()},
        {name: OldBoard(name, **_frozen(row)) for name, row in document["old_boards"].items()},
        jetpacks,
        {version: OldJetPack(version, **_frozen(row)) for version, row in document["old_jetpacks"].items()},
        opsets.opsets,
    )


def numbers(version: str) -> tuple[int, ...]:
    """``"10.13.3"`` → (10, 13, 3), for comparing; what follows the first part that is no number is left out.

    >>> numbers("10.3.0.30-1+cuda12.5"), numbers("36.4.3") > numbers("36.4"), numbers("?")
    ((10, 3, 0, 30), True, ())
    """
    found = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        found.append(int(digits))
        if digits != part:
            break
    return tuple(found)


def within(version: str, oldest: str, newest: str | None) -> bool:
    """Whether a version lies between two that may be shorter: "10" at the upper end covers every 10.x, None all.

    >>> within("10.3.0", "8.5", "10"), within("11.4.0.106", "8.5", "10"), within("8.4.1", "8.5", None)
    (True, False, False)
    """
    parts = numbers(version)
    return numbers(oldest) <= parts and (newest is None or parts[: len(numbers(newest))] <= numbers(newest))


def _frozen(row: dict) -> dict:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}

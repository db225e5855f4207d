"""docs/on_device.md as the steps of one job, which run in a folder that holds the bundle as ``uav``."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.remote.agent import FOLDER
from edgekit.remote.job import Step

REPORT = "output/report.tar.gz"
_ANY = range(256)
_FORK = """
import os
import numpy
import edgekit
predictor = edgekit.load("uav", backend="tensorrt")
if os.fork() == 0:
    predictor.infer(numpy.zeros((64, 64, 3), "uint8"))
os.wait()
"""


@dataclass(frozen=True)
class Item:
    """A line for a shell, and the exit codes that are as they should be."""

    line: str
    codes: tuple[int, ...] | range = (0,)


def items(soak: str) -> list[Item]:
    """``soak``: for how long the last measurement goes on, "10m"."""
    bench = "edgekit bench uav --backend tensorrt"
    return [
        Item("edgekit doctor --json > report/doctor.json"),
        Item("nvpmodel -q", _ANY),
        Item("edgekit build uav --json > report/build-best.json"),
        Item("edgekit build uav --precision fp32"),
        Item("edgekit build uav --precision int8 --lane cache", (0, 2)),  # 2: a lane that this TensorRT has not
        Item("edgekit build uav --precision int8 --lane strong", (0, 2)),
        Item("edgekit build uav --precision int8 --dla 0 --gpu-fallback", (0, 2)),  # 2: no DLA
        Item("timeout --signal=INT 8 edgekit build uav --precision fp16 --timing-cache report/none", (0, 124)),
        Item("! ls -A uav/engines | grep '^[.]part'"),
        Item("edgekit build uav --precision fp16 & sleep 3; edgekit build uav --precision int8; wait"),
        Item("edgekit build uav --precision fp16 --workspace 1000000", (2,)),
        Item(f"python3 -c '{_FORK}'"),
        Item("edgekit verify uav --backend tensorrt --json > report/verify.json"),
        Item(f"{bench} --layers --match-trtexec --output report/bench.json"),
        Item(f"{bench} --cuda-graph --output report/bench-graph.json"),
        Item(f"{bench} --soak {soak} --output report/soak.json"),
        Item("sh uav/build.sh"),
        Item("dmesg | tail -100 > report/dmesg.txt", _ANY),
    ]


def steps(bundle: str, listed: list[Item]) -> list[Step]:
    """``bundle``: its folder, relative to the board's. What is printed on the way is in the report too."""
    begin = f"mkdir report output && ln -s '{FOLDER}/{bundle}' uav"
    end = f"cp uav/manifest.json uav/engines/*.plan.json report/; cp err report/log.txt; tar czf {REPORT} report"
    count = len(listed)
    return [
        _shell(begin, "edgekit: the checklist of docs/on_device.md"),
        *(_shell(item.line, f"\nedgekit: {n} of {count}: {item.line}") for n, item in enumerate(listed, 1)),
        _shell(end, f"\nedgekit: packing {REPORT}"),
    ]


def _shell(line: str, say: str) -> Step:
    return Step(["bash", "-c", line], say, go_on=True)

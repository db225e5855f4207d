"""docs/on_device.md as the steps of one job, which run in a folder that holds the bundle as ``uav``."""

from __future__ import annotations

from edgekit.remote.agent import FOLDER
from edgekit.remote.job import OUTPUT, BoardStep

_ANY = range(256)
_BENCH = "edgekit bench uav --backend tensorrt"
_FORK = """
import os
import numpy
import edgekit
predictor = edgekit.load("uav", backend="tensorrt")
if os.fork() == 0:
    try:
        predictor.infer(numpy.zeros((64, 64, 3), "uint8"))
    except edgekit.EdgekitError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""
_CLOCKS = '"$PWD/report/clocks"'  # a file of its own: for one that is there the tool asks before it writes
_TRTEXEC = 'import json; print(json.load(open("report/bench.json"))["trtexec"])'
_PACK = (
    "cp uav/manifest.json uav/engines/*.plan.json report/; cp err report/log.txt; "
    f"tar czf {OUTPUT}/report.tar.gz report"
)

Items = list[tuple[str, "tuple[int, ...] | range"]]


def items(soak: str) -> Items:
    """Lines for a shell, and the exit codes that are as they should be. ``soak``: of the last measurement, "10m"."""
    return [
        ("edgekit doctor --json > report/doctor.json", (0,)),
        ("nvpmodel -q", _ANY),
        (f"sudo -n jetson_clocks --store {_CLOCKS} && sudo -n jetson_clocks", _ANY),  # where sudo asks for no password
        ("edgekit build uav --json > report/build-best.json", (0,)),
        ("edgekit build uav --precision fp32", (0,)),
        ("edgekit build uav --precision int8 --lane cache", (0, 2)),  # 2: a lane that this TensorRT has not
        ("edgekit build uav --precision int8 --lane strong", (0, 2)),
        ("edgekit build uav --precision int8 --dla 0 --gpu-fallback", (0, 2)),  # 2: no DLA
        ("timeout --signal=INT 8 edgekit build uav --precision fp16 --timing-cache report/none", (0, 124)),
        ("! ls -A uav/engines | grep '^[.]part'", (0,)),
        ("edgekit build uav --precision fp16 & sleep 3; edgekit build uav --precision int8; wait", (0,)),
        ("edgekit build uav --precision fp16 --workspace 1000000", (2,)),
        (f"python3 -c '{_FORK}'", (0,)),
        ("edgekit verify uav --backend tensorrt --json > report/verify.json", (0,)),
        (f"{_BENCH} --layers --match-trtexec --output report/bench.json", (0,)),
        (f"PATH=$PATH:/usr/src/tensorrt/bin sh -c \"$(python3 -c '{_TRTEXEC}')\"", _ANY),
        (f"{_BENCH} --cuda-graph --output report/bench-graph.json", (0,)),
        (f"{_BENCH} --soak {soak} --output report/soak.json", (0,)),
        ("sh uav/build.sh", (0,)),
        (f"sudo -n jetson_clocks --restore {_CLOCKS}", _ANY),
        ("dmesg | tail -100 > report/dmesg.txt", _ANY),
    ]


def steps(bundle: str, listed: Items) -> list[BoardStep]:
    """``bundle``: its folder, relative to the board's. What is printed on the way is in the report too."""
    begin = f"mkdir report {OUTPUT} && ln -s '{FOLDER}/{bundle}' uav"
    lines = [(begin, "the checklist of docs/on_device.md")]
    lines += [(line, f"{number} of {len(listed)}: {line}") for number, (line, _) in enumerate(listed, 1)]
    lines.append((_PACK, "packing the report"))
    return [BoardStep(["bash", "--norc", "-c", line], f"\nedgekit: {say}\n", go_on=True) for line, say in lines]

"""Sampling beside a measurement: captured lines for tegrastats, files for sysfs, and programs that misbehave."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from edgekit.bench.telemetry.sampler import Sampler
from edgekit.bench.telemetry.state import read_state
from edgekit.bench.telemetry.summary import marks, summarise_telemetry
from edgekit.bench.telemetry.system import LineStream, Ran, System

LINE = "RAM 2662/7620MB CPU [21%@1510,off] GR3D_FREQ 98%@[{gpu}] gpu@46.5C VDD_IN 4000mW/4000mW VDD_SOC 1400mW/1400mW"
CLOCKS = "cpu0: Online=1 MinFreq=729600 MaxFreq={most} CurrentFreq=729600\nGPU MinFreq=1 MaxFreq=1 CurrentFreq=1\n"


class Board(System):
    """A Jetson whose programs say what they are told to. ``tegrastats``: Python that stands for it."""

    def __init__(self, root, tegrastats: str | None = None, mode: str = "NV Power Mode: 25W\n1\n", most: int = 729600):
        super().__init__(root)
        self.tegrastats, self.mode, self.most = tegrastats, mode, most
        self.streams: list[LineStream] = []

    def has(self, program):
        return program != "tegrastats" or self.tegrastats is not None

    def run(self, *argv, **options):
        said = {"nvpmodel": self.mode, "jetson_clocks": CLOCKS.format(most=self.most)}
        return Ran(0, said[argv[0]])

    def stream(self, *argv):
        assert argv[:2] == ("tegrastats", "--interval")
        self.streams.append(LineStream([sys.executable, "-c", self.tegrastats]))
        return self.streams[-1]


def printing(*lines: str, then: str = "time.sleep(60)") -> str:
    return f"import time\nfor line in {lines!r}: print(line, flush=True)\n{then}"


def wait_for(condition) -> None:
    limit = time.monotonic() + 20
    while not condition() and time.monotonic() < limit:
        time.sleep(0.005)
    assert condition()


def ended(board: Board) -> bool:
    return all(s._process.poll() is not None for s in board.streams) and not [
        t for t in threading.enumerate() if t.name == "telemetry"
    ]


def test_lines_become_readings_and_the_program_ends(tmp_path):
    board = Board(tmp_path, printing(*[LINE.format(gpu=1000 + i) for i in range(4)], "garbage", ""))
    began = time.monotonic()
    with Sampler(board) as sampler:
        wait_for(lambda: len(sampler.readings) == 4)
    assert [r.gpu_mhz for r in sampler.readings] == [1000, 1001, 1002, 1003]
    assert all(began <= r.time <= time.monotonic() for r in sampler.readings)
    assert (sampler.source, sampler.trouble) == ("tegrastats", None)
    assert ended(board)


def test_an_exception_ends_it_too(tmp_path):
    board = Board(tmp_path, printing(LINE.format(gpu=1000)))
    with pytest.raises(RuntimeError, match="out of memory"), Sampler(board) as sampler:
        wait_for(lambda: sampler.readings)
        raise RuntimeError("out of memory")
    assert ended(board)


def test_a_program_that_will_not_end_is_killed(tmp_path):
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + printing(LINE.format(gpu=1))
    board = Board(tmp_path, stubborn)
    with Sampler(board) as sampler:
        wait_for(lambda: sampler.readings)
    assert ended(board)


def test_a_line_without_its_end_is_no_reading(tmp_path):
    cut = "sys.stdout.write('RAM 1/2MB GR3D_FREQ 98%@13'); sys.stdout.flush()"
    board = Board(tmp_path, "import sys\n" + printing(LINE.format(gpu=1), then=cut))
    with Sampler(board) as sampler:
        wait_for(lambda: sampler.trouble)
    assert [r.gpu_mhz for r in sampler.readings] == [1]


@pytest.mark.parametrize(
    ("program", "trouble"),
    [
        (printing("tegrastats: permission denied", then=""), "ended by itself: tegrastats: permission denied"),
        (printing(then=""), "ended by itself: it printed nothing"),
    ],
)
def test_a_program_that_fails_is_told_of(tmp_path, program, trouble):
    with Sampler(Board(tmp_path, program)) as sampler:
        wait_for(lambda: sampler.trouble)
    assert trouble in sampler.trouble and sampler.readings == []


def test_without_tegrastats_the_kernel_s_files_are_read(tmp_path):
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal")
    (zone / "temp").write_text("50000")
    board = Board(tmp_path)
    with Sampler(board, interval=0.001) as sampler:
        wait_for(lambda: len(sampler.readings) > 2)
    assert sampler.source == "sysfs" and sampler.readings[0].temperatures == {"cpu": 50.0}
    assert ended(board)


def test_a_machine_that_tells_nothing(tmp_path):
    board = Board(tmp_path)
    with Sampler(board) as sampler:
        pass
    assert (sampler.source, sampler.trouble, sampler.readings) == (None, None, [])


def measured(board: Board, frames: int = 50):
    before = read_state(board)
    with Sampler(board) as sampler:
        wait_for(lambda: len(sampler.readings) == 12)
    window = (sampler.readings[0].time, sampler.readings[-1].time)
    return summarise_telemetry(sampler, before, read_state(board), [window], frames), window


def test_the_summary_of_a_run(tmp_path):
    # a third of a millisecond between lines, so that the window has a length
    slow = printing(*[LINE.format(gpu=1300)] * 6, *[LINE.format(gpu=900)] * 6).replace(
        "flush=True)", "flush=True), time.sleep(.0003)"
    )
    found, window = measured(Board(tmp_path, slow))
    assert found["energy_mj_per_frame"] == pytest.approx(4000 * (window[1] - window[0]) / 50, abs=1e-3)  # 4 W
    assert (found["total_is"], found["total_mw"]["mean"]) == ("VDD_IN", 4000.0)
    assert found["gpu_mhz"] == {"mean": 1100.0, "min": 900.0, "max": 1300.0}
    assert found["temperatures_c"] == {"gpu": {"start": 46.5, "end": 46.5, "max": 46.5}}
    assert (found["power_mode"], found["power_mode_id"], found["clocks_locked"]) == ("25W", 1, True)
    assert found["throttled"] is True
    assert [m for m in marks(found) if m.startswith("throttled: the GPU's clock fell from 1300 to 900 MHz")]
    assert len(marks(found)) == 1


def test_unlocked_clocks_are_marked(tmp_path):
    found, _ = measured(Board(tmp_path, printing(*[LINE.format(gpu=1300)] * 12), most=1344000))
    assert found["clocks_locked"] is False and found["throttled"] is False
    assert [m for m in marks(found) if "without locked clocks" in m]


def test_a_mode_that_changes_is_marked(tmp_path):
    board = Board(tmp_path, printing(*[LINE.format(gpu=1300)] * 12))
    before = read_state(board)
    board.mode = "NV Power Mode: 15W\n2\n"
    with Sampler(board) as sampler:
        wait_for(lambda: len(sampler.readings) == 12)
    found = summarise_telemetry(sampler, before, read_state(board), [(0.0, time.monotonic())], 1)
    assert [m for m in marks(found) if "from 25W to 15W" in m]


def test_where_nothing_is_known_that_is_said(tmp_path):
    class Plain(System):
        def has(self, program):
            return False

    before = read_state(Plain(tmp_path))
    assert (before["power_mode"], before["clocks_locked"], before["clocks_from"]) == (None, None, None)
    with Sampler(Plain(tmp_path)) as sampler:
        pass
    found = summarise_telemetry(sampler, before, before, [(0.0, 1.0)], 1)
    assert found["energy_mj_per_frame"] is None and found["throttled"] is None
    assert marks(found) == ["it is not known whether the clocks were locked"]

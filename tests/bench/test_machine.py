"""Machines described from files as Linux writes them, and this one."""

from __future__ import annotations

import json
import resource

import numpy as np

from edgekit.bench.machine import current_memory_mib, describe_machine, peak_memory_mib


def test_this_machine_can_be_written_as_json():
    found = describe_machine()
    assert json.loads(json.dumps(found)) == found
    assert found["processor"] and found["usable_cores"] >= 1 and found["numpy"] == np.__version__


def test_a_board_is_named(tmp_path):
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"NVIDIA Jetson Orin Nano Developer Kit\0")
    (tmp_path / "proc/meminfo").write_text("MemTotal:        7802880 kB\nMemFree: 12 kB\n")
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\n")
    governor = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("schedutil\n")
    found = describe_machine(tmp_path)
    assert found["board"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert found["processor"] == "ARMv8 Processor rev 1 (v8l)"
    assert (found["memory_mib"], found["governor"]) == (7620, "schedutil")


def test_what_is_not_told_is_none(tmp_path):
    found = describe_machine(tmp_path)
    assert (found["board"], found["memory_mib"], found["governor"]) == (None, None, None)
    assert found["processor"]
    assert peak_memory_mib(tmp_path) is None and current_memory_mib(tmp_path) is None


def test_damaged_files_are_no_number(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("VmHWM:\nVmRSS: lots kB\nVmHWM")
    assert peak_memory_mib(tmp_path) is None and current_memory_mib(tmp_path) is None


def test_peak_memory_is_the_kernel_s():
    block = np.ones(40 << 17)  # 40 MiB, touched
    peak = peak_memory_mib()
    assert peak >= block.nbytes / 2**20 and peak >= current_memory_mib() - 1
    assert peak <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 + 1

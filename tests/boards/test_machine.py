"""Which board this is, and reading a whole machine from a folder that looks like its root."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.boards.clocks import read_clocks
from edgekit.boards.device_tree import identify
from edgekit.boards.machine import read_machine, run_tool
from edgekit.boards.memory import Memory

GIB = 2**30


@pytest.mark.parametrize(
    ("model", "compatible", "gib", "name"),
    [
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "", 15.3, "orin-nx-16gb"),
        ("NVIDIA Orin NX Developer Kit", "", 6.9, "orin-nx-8gb"),
        ("NVIDIA Jetson Orin NX Developer Kit", "nvidia,p3768-0000+p3767-0000", None, "orin-nx-16gb"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "nvidia,p3768-0000+p3767-0005\nnvidia", 7.4, "orin-nano-8gb"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
         "nvidia,p3768-0000+p3767-0005-super\nnvidia,p3767-0005\nnvidia,tegra234", 7.4, "orin-nano-8gb-super"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "", 3.6, "orin-nano-4gb-super"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "", 61.4, "agx-orin-64gb"),
        ("Jetson AGX Orin", "nvidia,p3737-0000+p3701-0004", 29.8, "agx-orin-32gb"),
        ("Jetson-AGX", "nvidia,jetson-xavier\nnvidia,tegra194", 31.2, "agx-xavier-32gb"),
        ("NVIDIA Jetson Xavier NX Developer Kit", "", 6.7, "xavier-nx-8gb"),
        ("NVIDIA Jetson AGX Thor Developer Kit", "", 122.8, "agx-thor"),
        ("NVIDIA Jetson Nano Developer Kit", "nvidia,jetson-nano\nnvidia,tegra210", 3.9, "nano"),
        ("quill", "", 7.7, "tx2"),
    ],
)  # fmt: skip
def test_a_board_by_its_device_tree(model, compatible, gib, name):
    assert identify(model, compatible, None if gib is None else int(gib * GIB)).name == name


@pytest.mark.parametrize(
    ("model", "compatible", "gib"),
    [
        ("", "", 16), ("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", 8), ("Acme Orin NX", "", 16),
        ("NVIDIA Jetson Orin NX", "", None), ("NVIDIA Jetson Orin NX", "", 64), ("NVIDIA Jetson Future", "", 16),
    ],
)  # fmt: skip
def test_what_is_no_board_we_know_is_none(model, compatible, gib):
    assert identify(model, compatible, None if gib is None else gib * GIB) is None


@given(st.text(max_size=60), st.text(max_size=60), st.none() | st.integers(0, 2**50), st.booleans())
@settings(deadline=None, max_examples=200)
def test_any_text_is_a_board_or_none(model, compatible, memory, nvidia):
    identify(f"NVIDIA Jetson {model}" if nvidia else model, compatible, memory)


def write(root, files: dict[str, str | bytes]):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def orin(root):
    write(
        root,
        {
            "proc/device-tree/model": b"NVIDIA Jetson Orin NX Engineering Reference Developer Kit\0",
            "proc/device-tree/compatible": b"nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234\0",
            "proc/meminfo": "MemTotal: 15656804 kB\nMemAvailable: 12345678 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
            "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "1984000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1984000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1984000\n",
            "sys/devices/system/cpu/cpu1/online": "0\n",
            "sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
            "sys/class/devfreq/17000000.gpu/max_freq": "918000000\n",
            "sys/class/devfreq/17000000.gpu/cur_freq": "612000000\n",
            "sys/class/hwmon/hwmon2/name": "pwmfan\n",
            "sys/class/hwmon/hwmon2/pwm1": "77\n",
        },
    )


def answers(table: dict[str, str]):
    return lambda command: table.get(" ".join(command))


def test_an_orin_read_by_an_ordinary_user(tmp_path):
    orin(tmp_path)
    run = answers(
        {"nvpmodel -q": "NV Power Mode: MAXN\n0\n", "dpkg-query --show nvidia-jetpack": "nvidia-jetpack\t6.2.1+b38\n"}
    )
    machine = read_machine(tmp_path, run)
    assert machine.is_jetson and machine.board.name == "orin-nx-16gb"
    assert (machine.l4t, machine.jetpack_version, machine.jetpack.version) == ("36.4.3", "6.2.1", "6.2")
    assert machine.power.name == "MAXN" and machine.memory == Memory(15656804 * 1024, 12345678 * 1024, 0, 0)
    gpu = machine.clocks.named("GPU")
    assert (gpu.least, gpu.most, gpu.current) == (306_000_000, 918_000_000, 612_000_000)
    assert machine.clocks.locked is False and machine.fan == "pwm 77 of 255"


def test_root_sees_what_jetson_clocks_shows(tmp_path):
    orin(tmp_path)
    shown = "GPU MinFreq=918000000 MaxFreq=918000000 CurrentFreq=918000000\n"
    shown += "FAN Dynamic Speed control=active hwmon2_pwm=255\n"
    machine = read_machine(tmp_path, answers({"jetson_clocks --show": shown}))
    assert machine.clocks.locked is True and machine.power is None
    assert machine.fan == "Dynamic Speed control=active hwmon2_pwm=255"
    assert machine.jetpack.version == "6.2" and machine.jetpack_version is None


def test_a_container_without_the_release_file_asks_the_packages(tmp_path):
    machine = read_machine(tmp_path, answers({"dpkg-query --show nvidia-l4t-core": "nvidia-l4t-core\t35.4.1-2023\n"}))
    assert (machine.l4t, machine.jetpack.version, machine.board) == ("35.4.1", "5.1", None)


def test_a_jetpack_newer_than_the_table_is_found_by_l4t(tmp_path):
    orin(tmp_path)
    machine = read_machine(tmp_path, answers({"dpkg-query --show nvidia-jetpack": "nvidia-jetpack\t9.9+b1\n"}))
    assert (machine.jetpack_version, machine.jetpack.version) == ("9.9", "6.2")


def test_an_empty_root_is_no_jetson(tmp_path):
    asked = []
    machine = read_machine(tmp_path, lambda command: asked.append(command[0]))
    assert not machine.is_jetson and machine.memory == Memory() and machine.clocks.locked is None
    assert set(asked) == {"dpkg-query"}


def test_clocks_that_are_no_numbers_are_left_out(tmp_path):
    write(
        tmp_path,
        {
            "sys/class/devfreq/17000000.gpu/min_freq": "fast\n",
            "sys/class/devfreq/17000000.gpu/max_freq": b"\xff\xfe",
            "sys/class/devfreq/15340000.vic/min_freq": "1\n",
            "sys/class/devfreq/15340000.vic/max_freq": "2\n",
        },
    )
    assert read_clocks(tmp_path).domains == ()


def test_tools_that_are_missing_or_fail_say_nothing():
    assert run_tool(["no-such-program-here"]) is None
    assert run_tool(["false"]) is None
    assert run_tool(["echo", "MAXN"]) == "MAXN\n"

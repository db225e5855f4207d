"""Parsers of what a Jetson prints: every form that is known, lines cut off, and text that is something else."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.boards.clocks import Clocks, parse_clocks
from edgekit.boards.memory import Memory, parse_meminfo
from edgekit.boards.power import PowerMode, parse_power_mode
from edgekit.boards.release import package_version, parse_l4t_release

CLOCKS_ORIN = """\
SOC family:tegra234  Machine:NVIDIA Jetson Orin NX Engineering Reference Developer Kit
Online CPUs: 0-7
cpu0: Online=1 Governor=schedutil MinFreq=729600 MaxFreq=1984000 CurrentFreq=1190400 IdleStates: WFI=1 c7=1
cpu1: Online=1 Governor=schedutil MinFreq=729600 MaxFreq=1984000 CurrentFreq=729600 IdleStates: WFI=1 c7=1
cpu2: Online=0 Governor=schedutil MinFreq=729600 MaxFreq=1984000 CurrentFreq=729600 IdleStates: WFI=1 c7=1
GPU MinFreq=306000000 MaxFreq=918000000 CurrentFreq=306000000
Active GPU TPCs: 4
EMC MinFreq=204000000 MaxFreq=3199000000 CurrentFreq=2133000000 FreqOverride=0
DLA0_CORE:   Online=1 MinFreq=0 MaxFreq=614400000 CurrentFreq=614400000
DLA0_FALCON: Online=1 MinFreq=0 MaxFreq=294400000 CurrentFreq=294400000
PVA0_VPS0: Online=1 MinFreq=0 MaxFreq=704000000 CurrentFreq=704000000
FAN Dynamic Speed control=nvfancontrol hwmon0_pwm1=77
NV Power Mode: MAXN
"""
CLOCKS_LOCKED = """\
SOC family:tegra194  Machine:Jetson-AGX
Online CPUs: 0-1
CPU Cluster Switching: Disabled
cpu0: Online=1 Governor=schedutil MinFreq=2265600 MaxFreq=2265600 CurrentFreq=2265600 IdleStates: C1=0 c6=0
cpu1: Online=1 Governor=schedutil MinFreq=2265600 MaxFreq=2265600 CurrentFreq=2265600 IdleStates: C1=0 c6=0
GPU MinFreq=1377000000 MaxFreq=1377000000 CurrentFreq=1377000000
EMC MinFreq=204000000 MaxFreq=2133000000 CurrentFreq=2133000000 FreqOverride=1
Fan: PWM=255
NV Power Mode: MODE_30W_ALL
"""


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", PowerMode("MAXN", 0)),
        ("NV Power Mode: MAXN_SUPER\n2", PowerMode("MAXN_SUPER", 2)),
        ("NV Power Mode: MODE_15W_6CORE\r\n2\r\n", PowerMode("MODE_15W_6CORE", 2)),
        ("NV Fan Mode:quiet\nNV Power Mode: 15W\n1\n", PowerMode("15W", 1, "quiet")),
        ("NVPM VERB: Config file: /etc/x.conf\nNVPM VERB: Current mode: NV Power Mode: 30W\n2\n", PowerMode("30W", 2)),
        ("NV Power Mode: 7W-AI\n", PowerMode("7W-AI", None)),
        ("NV Power Mode: MODE 15W DESKTOP\n5\n", PowerMode("MODE 15W DESKTOP", 5)),
        ("NV Power Mode: MAXN\nNVPM WARN: something\n", PowerMode("MAXN", None)),
        ("NV Power Mode: MAXN", PowerMode("MAXN", None)),
    ],
)  # fmt: skip
def test_nvpmodel(text, mode):
    assert parse_power_mode(text) == mode


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NV Power Mode:",
        "NV Power Mode: \n0\n",
        "NV Power Mo",
        "NVPM WARN: power mode is not set!\n",
        "NVPM ERROR: x",
    ],
)
def test_nvpmodel_without_a_mode(text):
    assert parse_power_mode(text) is None


def test_jetson_clocks_of_orin():
    clocks = parse_clocks(CLOCKS_ORIN)
    names = [clock.name for clock in clocks.domains]
    assert names == ["cpu0", "cpu1", "cpu2", "GPU", "EMC", "DLA0_CORE", "DLA0_FALCON", "PVA0_VPS0"]
    gpu = clocks.named("GPU")
    assert (gpu.least, gpu.most, gpu.current, gpu.locked) == (306_000_000, 918_000_000, 306_000_000, False)
    assert clocks.named("cpu0").most == 1_984_000_000  # kHz there
    assert [clocks.named(f"cpu{i}").online for i in range(3)] == [True, True, False]
    assert clocks.fan == "Dynamic Speed control=nvfancontrol hwmon0_pwm1=77"
    assert clocks.locked is False and clocks.named("VIC") is None


def test_jetson_clocks_of_xavier_with_clocks_locked():
    clocks = parse_clocks(CLOCKS_LOCKED)
    assert clocks.locked is True and clocks.named("EMC").forced
    assert clocks.fan == "PWM=255"


@pytest.mark.parametrize("line", ["cpu1", "GPU", "EMC"])
def test_one_clock_that_moves_is_enough_to_be_unlocked(line):
    moved = {
        "cpu1": ("cpu1: Online=1 Governor=schedutil MinFreq=22", "cpu1: Online=1 Governor=schedutil MinFreq=11"),
        "GPU": ("GPU MinFreq=1377000000", "GPU MinFreq=318750000"),
        "EMC": ("FreqOverride=1", "FreqOverride=0"),
    }[line]  # fmt: skip
    assert moved[0] in CLOCKS_LOCKED
    assert parse_clocks(CLOCKS_LOCKED.replace(*moved)).locked is False


def test_a_core_that_is_off_does_not_unlock():
    off = "cpu1: Online=0 Governor=schedutil MinFreq=1190400"
    text = CLOCKS_LOCKED.replace("cpu1: Online=1 Governor=schedutil MinFreq=2265600", off)
    assert parse_clocks(text).locked is True


def test_cut_off_anywhere_it_never_invents_a_clock():
    whole = {clock.name: clock for clock in parse_clocks(CLOCKS_ORIN).domains}
    for end in range(len(CLOCKS_ORIN)):
        for clock in parse_clocks(CLOCKS_ORIN[:end]).domains:
            assert clock.name in whole and (clock.least, clock.most) == (
                whole[clock.name].least,
                whole[clock.name].most,
            )


def test_without_rights_there_are_no_clocks():
    said = "Error: Please run this script(/usr/bin/jetson_clocks) with root privilege!\n"
    assert parse_clocks(said) == Clocks() and parse_clocks(said).locked is None


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, DATE: Wed Jan  8 2025\n", "36.4.3"),
        ("# R32 (release), REVISION: 7.4, GCID: 33514132, BOARD: t210ref\n# KERNEL_VARIANT: oot\n", "32.7.4"),
        ("# R35 (release), REVISION: 1.0, GCID: 1, BOARD: t186ref", "35.1.0"),
        ("# R38 (release), REVISION: 2, GCID: 1", "38.2"),
        ("R36 (release), REVISION: 4.0", "36.4.0"),
    ],
)  # fmt: skip
def test_l4t_release(text, release):
    assert parse_l4t_release(text) == release


@pytest.mark.parametrize(
    "text", ["", "# R36", "# R36 (release)", "# R36 (release), REVISION:", "# Rxx (release), REVISION: 4.3,"]
)
def test_a_release_cut_off_or_something_else(text):
    assert parse_l4t_release(text) is None


def test_packages():
    assert package_version("nvidia-l4t-core", "nvidia-l4t-core\t36.4.3-20250107174145\n") == "36.4.3"
    assert (
        package_version("nvidia-l4t-core", "ii  nvidia-l4t-core  35.4.1-20230801124926 arm64 NVIDIA Core\n") == "35.4.1"
    )
    assert package_version("nvidia-jetpack", "nvidia-jetpack\t6.2+b77\n") == "6.2"
    assert package_version("nvidia-jetpack", "nvidia-jetpack\t5.1.2-b104\n") == "5.1.2"
    for text in ("", "nvidia-jetpack\t\n", "nvidia-jetpack-dev 6.2", "nvidia-jetpack\tsix", "nvidia-l4t-core 36"):
        assert package_version("nvidia-jetpack", text) is None


def test_meminfo():
    text = "MemTotal:       15656804 kB\nMemFree:         9000 kB\nMemAvailable:   12345678 kB\n"
    text += "SwapTotal:       7828400 kB\nSwapFree:  0 kB\n"
    assert parse_meminfo(text) == Memory(15656804 * 1024, 12345678 * 1024, 7828400 * 1024, 0)
    assert parse_meminfo("MemTotal:       156568") == Memory() == parse_meminfo("")


PARSERS = (
    parse_power_mode, parse_clocks, parse_l4t_release, partial(package_version, "nvidia-jetpack"), parse_meminfo
)  # fmt: skip
FORMS = (CLOCKS_ORIN, CLOCKS_LOCKED, "NV Fan Mode:quiet\nNV Power Mode: 15W\n1\n",
         "# R36 (release), REVISION: 4.3, GCID: 1", "nvidia-jetpack\t6.2+b77\n", "MemTotal:  156 kB\n")  # fmt: skip


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("utf-8", "replace")))
@settings(deadline=None, max_examples=200)
def test_no_parser_raises_on_any_text(text):
    for parse in PARSERS:
        parse(text)


@given(st.sampled_from(FORMS), st.data())
@settings(deadline=None, max_examples=200)
def test_no_parser_raises_on_damaged_text(form, data):
    start, end = sorted((data.draw(st.integers(0, len(form))), data.draw(st.integers(0, len(form)))))
    damaged = form[:start] + data.draw(st.text(max_size=5)) + form[end:]
    for parse in PARSERS:
        parse(damaged)

"""Lines of tegrastats as boards print them, and text that is none."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgekit.bench.telemetry.reading import Reading
from edgekit.bench.telemetry.tegrastats import parse_tegrastats

ORIN_NANO = (
    "11-24-2026 10:22:01 RAM 2662/7620MB (lfb 4x4MB) SWAP 0/3810MB (cached 0MB) CPU "
    "[21%@1510,3%@1510,0%@729,off,off,1%@729] EMC_FREQ 7%@2133 GR3D_FREQ 98%@[624] NVDEC off NVJPG off VIC off OFA off "
    "APE 200 cpu@45.5C soc2@44.093C soc0@44.5C gpu@46.156C tj@46.156C soc1@45C cv0@-256C VDD_IN 4320mW/4310mW "
    "VDD_CPU_GPU_CV 1245mW/1240mW VDD_SOC 1402mW/1400mW\n"
)
NANO = (
    "RAM 2448/3964MB (lfb 2x1MB) SWAP 341/1982MB (cached 7MB) IRAM 0/252kB(lfb 252kB) CPU [25%@921,13%@921,off,off] "
    "EMC_FREQ 7%@1600 GR3D_FREQ 10%@76 VIC_FREQ 0%@140 APE 25 PLL@25.5C CPU@28C PMIC@100C GPU@27C AO@35C thermal@27.5C "
    "POM_5V_IN 2063/2100 POM_5V_GPU 82/80 POM_5V_CPU 480/470"
)
AGX_ORIN = (
    "04-24-2023 00:01:24 RAM 1282/62795MB (lfb 15152x4MB) SWAP 0/31398MB (cached 0MB) CPU [0%@729,2%@2201] EMC_FREQ "
    "0%@3199 GR3D_FREQ 12%@[1300,1290] CV0@-256C CPU@47.593C Tboard@37C tj@47.6C VDD_GPU_SOC 2399mW/2399mW VDD_CPU_CV "
    "800mW/790mW VIN_SYS_5V0 2718mW/2718mW NC 0mW/0mW VDDQ_VDD2_1V8AO 302mW/302mW NC 0mW/0mW"
)
AGX_XAVIER = (
    "RAM 1/2MB CPU [1%@2265] GR3D_FREQ @[1000,999] GPU 310/310 CPU 620/620 SOC 1240/1240 CV 0/0 VDDRQ 155/155 "
    "SYS5V 1800/1800"
)
THOR = (
    "GR3D_FREQ @[1575,1575,1560] gpu@40C VDD_GPU -392mW/0mW VDD_CPU_SOC_MSS 3924mW/3900mW VIN_SYS_5V0 4043mW/4000mW "
    "VIN 23000mW/22900mW"
)


def test_a_whole_line():
    found = parse_tegrastats(ORIN_NANO, 7.0)
    assert found == Reading(
        time=7.0,
        rails={"VDD_IN": 4320, "VDD_CPU_GPU_CV": 1245, "VDD_SOC": 1402},
        temperatures={"cpu": 45.5, "soc2": 44.093, "soc0": 44.5, "gpu": 46.156, "tj": 46.156, "soc1": 45.0},
        gpu_load=98.0,
        gpu_mhz=624.0,
        cpu_load=(21.0, 3.0, 0.0, 1.0),
        cpu_mhz=(1510.0, 1510.0, 729.0, 729.0),
        emc_load=7.0,
        emc_mhz=2133.0,
        ram=2662.0,
    )


@pytest.mark.parametrize(
    ("text", "load", "clock"),
    [
        ("GR3D_FREQ 10%@1300", 10.0, 1300.0),
        ("GR3D_FREQ 12%@[1300,1290]", 12.0, 1300.0),
        ("GR3D_FREQ @[1000,1005]", None, 1005.0),
        ("GR3D_FREQ @[1000,1000] VIC", None, 1000.0),
        ("GR3D_FREQ 0%", 0.0, None),
        ("GR3D 44%@998", 44.0, 998.0),
        ("GR3D_FREQ 5%@[]", 5.0, None),
    ],
)
def test_the_forms_of_the_gpu(text, load, clock):
    found = parse_tegrastats(f"RAM 1/2MB {text} APE 25", 0.0)
    assert (found.gpu_load, found.gpu_mhz) == (load, clock)


@pytest.mark.parametrize(
    ("line", "power"),
    [
        (ORIN_NANO, 4320.0),  # VDD_IN alone: the other rails are parts of it
        (NANO, 2063.0),
        (AGX_ORIN, 2399.0 + 800 + 2718),  # no rail for the whole; VDDQ_VDD2_1V8AO hangs on VIN_SYS_5V0
        (AGX_XAVIER, 310.0 + 620 + 1240 + 0 + 155 + 1800),
        (THOR, 23000.0),
        ("RAM 1/2MB VDD_SOC 1402mW/1400mW", None),  # one part is not the whole
        ("VDD_CPU_GPU_CV 1mW/1mW VDD_IN 4320", None),  # cut off
    ],
)
def test_total_power(line, power):
    assert parse_tegrastats(line, 0.0).power == power


def test_what_looks_like_a_rail_and_is_none():
    assert set(parse_tegrastats(NANO, 0.0).rails) == {"POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"}
    assert "NC" not in parse_tegrastats(AGX_ORIN, 0.0).rails
    assert parse_tegrastats(THOR, 0.0).rails["VDD_GPU"] == -392


def test_sensors_that_are_off_are_absent():
    assert "cv0" not in parse_tegrastats(ORIN_NANO, 0.0).temperatures
    assert parse_tegrastats("ao@-12.5C", 0.0).temperatures == {"ao": -12.5}


def test_the_oldest_form_has_one_clock_for_all_cores():
    found = parse_tegrastats("RAM 1/2MB cpu [7%,0%,off,3%]@1734 EMC 4%@1600 GR3D 0%@76", 0.0)
    assert (found.cpu_load, found.cpu_mhz, found.emc_mhz) == ((7.0, 0.0, 3.0), (1734.0,) * 3, 1600.0)


@pytest.mark.parametrize("line", ["", "\n", "tegrastats: command not found", "NVDEC off", "CPU [", "VDD_IN 43"])
def test_what_is_no_line_of_tegrastats(line):
    assert parse_tegrastats(line, 0.0) is None


@pytest.mark.parametrize("line", [ORIN_NANO, NANO, AGX_ORIN, AGX_XAVIER, THOR])
def test_a_line_cut_anywhere_tells_nothing_false(line):
    whole = parse_tegrastats(line, 0.0)
    for end in range(len(line)):
        found = parse_tegrastats(line[:end], 0.0) or Reading(0.0)
        assert found.temperatures.items() <= whole.temperatures.items()
        assert found.rails.items() <= whole.rails.items() or "mW" not in line
        assert found.ram in (None, whole.ram)


@given(st.one_of(st.text(max_size=200), st.text("CPUGR3D_FREQVIN[]@%/,mWMB0123456789 off-.", max_size=200)))
@example("CPU [999999999999999999999%@1]")
@example("GR3D_FREQ @[" + "9" * 5000 + "]")
@example("VDD_IN " + "9" * 5000 + "mW/1mW")
@example("cpu@" + "9" * 400 + "C")
@example("RAM ٣/٤MB")
def test_no_text_raises(text):
    found = parse_tegrastats(text, 0.0)
    assert found is None or isinstance(found, Reading)


@given(st.data())
def test_no_damage_to_a_line_raises(data):
    line = data.draw(st.sampled_from([ORIN_NANO, NANO, AGX_ORIN, AGX_XAVIER, THOR]))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(line))] * 2)))
    parse_tegrastats(line[:first] + data.draw(st.text(max_size=5)) + line[last:], 0.0)

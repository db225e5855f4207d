"""Sensors in a tree of files as a Jetson's kernel lays them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.bench.telemetry.sysfs import read_sysfs

ORIN = {
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "49468\n",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "-256000\n",
    "sys/class/thermal/thermal_zone2/type": "cv0-thermal\n",  # its temperature cannot be read
    "sys/class/hwmon/hwmon1/name": "ina3221\n",
    "sys/class/hwmon/hwmon1/in1_label": "VDD_IN\n",
    "sys/class/hwmon/hwmon1/in1_input": "5000\n",
    "sys/class/hwmon/hwmon1/curr1_input": "864\n",
    "sys/class/hwmon/hwmon1/in2_label": "VDD_SOC\n",
    "sys/class/hwmon/hwmon1/in2_input": "5000\n",
    "sys/class/hwmon/hwmon1/curr2_input": "280\n",
    "sys/class/hwmon/hwmon1/in3_label": "NC\n",
    "sys/class/hwmon/hwmon1/in3_input": "0\n",
    "sys/class/hwmon/hwmon1/curr3_input": "0\n",
    "sys/class/hwmon/hwmon1/in7_label": "sum of shunt voltages\n",
    "sys/class/hwmon/hwmon1/in7_input": "3\n",
    "sys/class/hwmon/hwmon0/name": "pwmfan\n",
    "sys/class/hwmon/hwmon0/in1_label": "NOT_A_RAIL\n",
    "sys/class/hwmon/hwmon0/in1_input": "1\n",
    "sys/class/hwmon/hwmon0/curr1_input": "1\n",
    "sys/class/devfreq/17000000.gpu/min_freq": "306000000",
    "sys/class/devfreq/17000000.gpu/max_freq": "918000000",
    "sys/class/devfreq/17000000.gpu/cur_freq": "612000000",
    "sys/devices/platform/gpu.0/load": "987\n",
    "proc/meminfo": "MemTotal:       7802880 kB\nMemFree:   100 kB\nMemAvailable:   5754880 kB\n",
}


@pytest.fixture
def tree(tmp_path):
    def plant(files: dict[str, str]) -> Path:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return plant


def test_an_orin(tree):
    found = read_sysfs(3.0, tree(ORIN))
    assert found.rails == {"VDD_IN": 4320.0, "VDD_SOC": 1400.0} and found.power == 4320.0
    assert found.temperatures == {"cpu": 49.468}
    assert (found.gpu_load, found.gpu_mhz, found.time) == (98.7, 612.0, 3.0)
    assert found.ram == pytest.approx(2000.0)


def test_a_chip_that_multiplies_itself(tree):
    chip = "sys/class/hwmon/hwmon4"
    root = tree({f"{chip}/name": "ina238", f"{chip}/power1_label": "VIN", f"{chip}/power1_input": "23500000"})
    assert read_sysfs(0.0, root).power == 23500.0


def test_nothing_but_memory_is_nothing(tree):
    assert read_sysfs(0.0, tree({"proc/meminfo": ORIN["proc/meminfo"]})) is None


@pytest.mark.parametrize("garbage", ["", "n/a", "12x", "٣", "9" * 40, "1\n2"])
def test_garbage_is_left_out(tree, garbage):
    root = tree(
        {**ORIN, "sys/class/hwmon/hwmon1/curr1_input": garbage, "sys/class/thermal/thermal_zone0/temp": garbage}
    )
    found = read_sysfs(0.0, root)
    assert "VDD_IN" not in found.rails and found.temperatures == {}

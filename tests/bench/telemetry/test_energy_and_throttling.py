"""Energy against integrals by hand; throttling against clocks that fall and clocks that do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bench.telemetry.reading import Reading
from edgekit.bench.telemetry.summary import energy
from edgekit.bench.telemetry.throttling import find_drops


def powers(points: list[tuple[float, float]]) -> list[Reading]:
    return [Reading(t, rails={"VDD_IN": 1000 * watts, "VDD_SOC": 400 * watts}) for t, watts in points]


def test_constant_power():
    assert energy(powers([(t / 10, 5.0) for t in range(100)]), 1.0, 4.0) == pytest.approx(15.0)


def test_a_ramp_is_integrated_by_trapezoids():
    readings = powers([(t, 2.0 * t) for t in range(11)])
    assert energy(readings, 1.5, 8.5) == pytest.approx(8.5**2 - 1.5**2)  # ∫ 2t dt


def test_beyond_the_readings_power_is_constant():
    readings = powers([(t, 3.0 if t < 4 else 7.0) for t in range(2, 7)])
    # 3 W from 0 to 3, a ramp to 7 W at 4, 7 W until 10
    assert energy(readings, 0.0, 10.0) == pytest.approx(9 + 5 + 42)


def test_too_few_readings_are_no_energy():
    assert energy(powers([(t, 5.0) for t in range(4)]), 0.0, 3.0) is None
    assert energy([Reading(float(t), rails={"VDD_SOC": 1.0}) for t in range(20)], 0.0, 19.0) is None
    assert energy([], 0.0, 1.0) is None


@given(st.lists(st.floats(0.1, 60), min_size=6, max_size=40), st.floats(0.1, 0.9))
def test_parts_add_up(watts, share):
    readings = powers([(float(t), w) for t, w in enumerate(watts)])
    end = float(len(watts) - 1)
    whole = energy(readings, 0.0, end)
    assert min(watts) * end - 1e-6 <= whole <= max(watts) * end + 1e-6
    left, right = energy(readings, 0.0, share * end), energy(readings, share * end, end)
    if left is not None and right is not None:
        assert left + right == pytest.approx(whole)


def clocks(values: list[float], load: float | None = 99.0) -> list[Reading]:
    return [Reading(0.1 * i, gpu_load=load, gpu_mhz=mhz) for i, mhz in enumerate(values)]


def test_a_lasting_fall_is_throttling():
    (drop,) = find_drops(clocks([1300] * 20 + [900] * 5 + [850] * 5), 0.0, 10.0)
    assert drop == "the GPU's clock fell from 1300 to 900 MHz 2.0 s into the run"


@pytest.mark.parametrize(
    "readings",
    [
        clocks([300, 600, 900, 1300, 1300, 1300]),  # a governor that wakes up
        clocks([1300, 1300, 900, 1300, 900, 900, 1300]),  # too short
        clocks([1300, 1280, 1250, 1240, 1240, 1240]),  # less than 5 %
        clocks([1300] * 3 + [300] * 9, load=3.0),  # idle
        clocks([1300] * 3) + [Reading(1 + i, gpu_load=2.0, gpu_mhz=300) for i in range(9)],  # the load went away
        [],
        [Reading(float(i)) for i in range(9)],
    ],
)
def test_what_is_no_throttling(readings):
    assert find_drops(readings, 0.0, 100.0) == []


def test_without_a_load_every_reading_counts():
    assert find_drops(clocks([1000] * 5 + [700] * 5, load=None), 0.0, 10.0)


def test_only_between_the_two_times():
    readings = clocks([1300] * 20 + [900] * 10)
    assert find_drops(readings, 0.0, 1.9) == [] and find_drops(readings, 2.0, 3.0) == []


def test_cores_throttle_too():
    readings = [Reading(0.1 * i, cpu_load=(3, 99), cpu_mhz=(729, 2000 if i < 5 else 1500)) for i in range(10)]
    (drop,) = find_drops(readings, 0.0, 1.0)
    assert drop.startswith("the CPU's clock fell from 2000 to 1500 MHz")

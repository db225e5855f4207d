"""One reading of a board's sensors, from whatever source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Rails whose sum is what the module draws, tried in this order. One name: that rail is the total by itself, and the
# others are parts of it that must not be added: VDD_IN of Xavier NX and Orin Nano/NX, VIN of Thor, POM_5V_IN of Nano.
# AGX boards have no rail for the whole; their input rails stand beside each other.
TOTALS = (
    ("VDD_IN",),
    ("VIN",),
    ("POM_5V_IN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)


@dataclass(frozen=True)
class Reading:
    """Sensors at one time. What a source does not report is None or absent.

    time          seconds on time.monotonic
    rails         power per rail in mW, as the board names them
    temperatures  °C per sensor; sensors that are off are absent
    gpu_load, emc_load  percent
    gpu_mhz       the fastest of the GPU's clusters
    cpu_load      percent per core that is on
    cpu_mhz       per core that is on
    ram           MiB that are used
    """

    time: float
    rails: Mapping[str, float] = field(default_factory=dict)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    gpu_load: float | None = None
    gpu_mhz: float | None = None
    cpu_load: tuple[float, ...] = ()
    cpu_mhz: tuple[float, ...] = ()
    emc_load: float | None = None
    emc_mhz: float | None = None
    ram: float | None = None

    @property
    def power(self) -> float | None:
        """What the module draws in mW; None where the rails are not a known set."""
        rails = total_rails(self.rails)
        return sum(self.rails[name] for name in rails) if rails else None


def total_rails(rails: Mapping[str, float]) -> tuple[str, ...] | None:
    """The rails whose sum is the total."""
    return next((names for names in TOTALS if all(name in rails for name in names)), None)

"""One measurement as a report shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.bench.document import in_threads
from edgekit.tasks import KINDS


@dataclass(frozen=True)
class Accuracy:
    task: str
    metric: str
    value: float
    higher_is_better: bool
    kind: str | None = None  # of the task; earlier measurements do not say

    @property
    def shown(self) -> float:
        return self.value * self._column[1]

    @property
    def unit(self) -> str:
        """``semantic mIoU %``."""
        return f"{self.task} {self._column[0]}"

    @property
    def _column(self) -> tuple[str, float]:
        """The metric's title and factor in tables; its name and 1 where its kind is not installed."""
        kinds = KINDS.imported() if self.kind is None else [self.kind]
        columns = [KINDS[kind].columns for kind in kinds if kind in KINDS]
        return next((found[self.metric][:2] for found in columns if self.metric in found), (self.metric, 1.0))


@dataclass(frozen=True)
class Entry:
    """One measurement. Times in ms, energy in mJ per frame, power in W; None where it was not measured.

    latency  the timing that is quoted: ``end_to_end``; ``gpu``: GPU compute time's p50
    """

    label: str
    student: str
    size: str
    precision: str
    backend: str
    power_mode: str | None
    p50: float
    p99: float
    jitter: float
    gpu: float | None
    graph: float | None
    throughput: float
    energy: float | None
    power: float | None
    temperature: float | None
    memory: float | None
    accuracy: tuple[Accuracy, ...]
    marks: tuple[str, ...]
    machine: str
    software: str

    @property
    def main_accuracy(self) -> Accuracy | None:
        return self.accuracy[0] if self.accuracy else None


def entry_of(label: str, document: Mapping[str, Any]) -> Entry:
    subject, machine, seen = document["subject"], document["machine"], document.get("telemetry") or {}
    timings = document["timings"]
    whole = timings["end_to_end"]
    hottest = [sensor["max"] for sensor in (seen.get("temperatures_c") or {}).values()]
    power = seen.get("total_mw")
    threads = f", {in_threads(subject['threads'])}" if subject.get("threads") else ""
    return Entry(
        label=label,
        student=subject["student"],
        size="×".join(map(str, subject["size"])),
        precision=subject["precision"],
        backend=subject["backend"] + threads,
        power_mode=seen.get("power_mode"),
        p50=whole["p50"],
        p99=whole["p99"],
        jitter=whole["jitter"],
        gpu=timings["compute"]["p50"] if "compute" in timings else None,
        graph=timings["graph"]["p50"] if "graph" in timings else None,
        throughput=document["throughput"].get("pipelined", document["throughput"]["end_to_end"]),
        energy=seen.get("energy_mj_per_frame"),
        power=power["mean"] / 1000 if power else None,
        temperature=max(hottest, default=None),
        memory=(document.get("memory") or {}).get("peak_mib"),
        accuracy=tuple(Accuracy(**entry) for entry in document.get("accuracy") or ()),
        marks=tuple(document.get("marks") or ()),
        machine=f"{machine['board'] or machine['processor']}, {machine['usable_cores']} cores",
        software=f"{subject['runtime']}, edgekit {machine['edgekit']}, Python {machine['python']}",
    )


def comparable(entries: Iterable[Entry]) -> list[Entry]:
    """Entries with the same main accuracy metric, of the same task, as the first rated entry."""
    known = [e for e in entries if e.main_accuracy]
    return [e for e in known if e.main_accuracy.unit == known[0].main_accuracy.unit]


def goodness(entry: Entry) -> float:
    """The main accuracy, turned so that more is better."""
    accuracy = entry.main_accuracy
    return accuracy.value if accuracy.higher_is_better else -accuracy.value


def highlights(entries: Sequence[Entry]) -> list[tuple[str, str, str, Entry]]:
    """(what for, figure, its unit, entry): the fastest, the most accurate, the one with the least energy."""
    found = []
    if entries:
        fastest = min(entries, key=lambda e: e.p50)
        found.append(("fastest", f"{fastest.p50:.2f}", "ms", fastest))
    rated = comparable(entries)
    if rated:
        best = max(rated, key=lambda e: (goodness(e), -e.p50))
        found.append(("most accurate", f"{best.main_accuracy.shown:.2f}", best.main_accuracy.unit, best))
    metered = [e for e in entries if e.energy is not None]
    if metered:
        frugal = min(metered, key=lambda e: e.energy)
        found.append(("least energy", f"{frugal.energy:.1f}", "mJ per frame", frugal))
    return found

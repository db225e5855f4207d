"""Sampling sensors beside a measurement, in a thread that ends with it."""

from __future__ import annotations

import threading
import time

from edgekit.bench.telemetry.reading import Reading
from edgekit.bench.telemetry.sysfs import read_sysfs
from edgekit.bench.telemetry.system import LineStream, System
from edgekit.bench.telemetry.tegrastats import parse_tegrastats

INTERVAL = 0.1


class Sampler:
    """Readings from ``tegrastats`` where it is installed, else from the kernel's files.

    A context manager; whatever ends the block ends thread and program too. Afterwards:

    readings  in the order taken, on time.monotonic
    source    ``tegrastats``, ``sysfs``, or None where the machine has neither
    trouble   why there are no readings although tegrastats is installed, or None
    """

    def __init__(self, system: System, interval: float = INTERVAL):
        self.readings: list[Reading] = []
        self.source: str | None = None
        self.trouble: str | None = None
        self._system, self._interval = system, interval
        self._stopping = threading.Event()
        self._stream: LineStream | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Sampler:
        if self._system.has("tegrastats"):
            self.source = "tegrastats"
            try:
                self._stream = self._system.stream("tegrastats", "--interval", str(round(1000 * self._interval)))
            except OSError as error:
                self.trouble = f"tegrastats did not start: {error}"
                return self
            self._start(self._follow)
        elif read_sysfs(time.monotonic(), self._system.root) is not None:
            self.source = "sysfs"
            self._start(self._poll)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._stream:
            self._stream.stop()
        if self._thread:
            self._thread.join()
        if self.source == "tegrastats" and not self.readings and not self.trouble:
            self.trouble = "tegrastats printed nothing that is understood"

    def take(self) -> list[Reading]:
        """The readings so far, which are forgotten here."""
        taken = self.readings
        self.readings = []  # the thread appends to whichever list it finds
        return taken

    def _start(self, work) -> None:
        # A daemon: should the program die without leaving the block, the thread does not keep it.
        self._thread = threading.Thread(target=work, name="telemetry", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        last = ""
        for line in self._stream.lines():
            reading = parse_tegrastats(line, time.monotonic())
            if reading:
                self.readings.append(reading)
            last = line.strip()
        if not self._stopping.is_set():
            self.trouble = f"tegrastats ended by itself: {last[:200] or 'it printed nothing'}"

    def _poll(self) -> None:
        while True:
            reading = read_sysfs(time.monotonic(), self._system.root)
            if reading:
                self.readings.append(reading)
            if self._stopping.wait(self._interval):
                return

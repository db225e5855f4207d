"""Live frames without lag: a thread reads every frame, and a slower consumer gets the newest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.frames.source import CapturedFrame


class Newest:
    """Keeps the newest frame of a camera. Iterating gives each frame at most once, and ends when the camera does.

    ``read`` waits for the next frame, (H, W, 3) uint8, and returns None when there are no more. ``dropped`` counts the
    frames that newer ones replaced before they were taken. ``__next__`` raises EdgekitError after ``patience`` seconds
    without a frame, and what ``read`` raised.
    """

    def __init__(self, read: Callable[[], np.ndarray | None], *, patience: float = 10.0):
        self._read, self._patience = read, patience
        self._changed = threading.Condition()
        self._newest: CapturedFrame | None = None
        self._error: BaseException | None = None
        self._ended = self._stop = False
        self.captured = self.dropped = 0
        self._thread = threading.Thread(target=self._grab, name="grab frames", daemon=True)
        self._thread.start()

    def __iter__(self) -> Newest:
        return self

    def __next__(self) -> CapturedFrame:
        with self._changed:
            if not self._changed.wait_for(lambda: self._newest or self._ended, self._patience):
                raise EdgekitError(
                    f"the camera has given no frame for {self._patience:g} seconds",
                    where="the camera",
                    fix="check that it is connected and that no other program uses it",
                )
            if self._newest is None:
                if self._error:
                    raise self._error
                raise StopIteration
            frame, self._newest = self._newest, None
            return frame

    def _grab(self) -> None:
        first: float | None = None
        try:
            while not self._stop:
                image = self._read()
                now = time.perf_counter()
                if image is None:
                    break
                first = now if first is None else first
                with self._changed:
                    self.dropped += self._newest is not None
                    self._newest = CapturedFrame(image, "bgr", f"{self.captured:06d}", now, now - first)
                    self.captured += 1
                    self._changed.notify()
        except BaseException as error:  # handed to the thread that asks for frames
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def close(self) -> None:
        """Stop reading. Waits for the frame that is being read, but not for a camera that hangs."""
        self._stop = True
        self._thread.join(timeout=2.0)

"""Live frames: a slow reader gets the newest, never a queue of old ones."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.frames.live import Newest


class FakeCamera:
    """Gives numbered frames when it is told to, as many as it is told to."""

    def __init__(self):
        self._allowed = threading.Semaphore(0)
        self._asked = threading.Semaphore(0)
        self.given = 0
        self.ended = False

    def give(self, count: int) -> None:
        """Let ``count`` frames come, and wait until all are taken over by the grabbing thread."""
        for _ in range(count):
            self._asked.acquire()
            self._allowed.release()
        self._asked.acquire()  # the thread asks for the next: it has put away the last
        self._asked.release()

    def end(self) -> None:
        self.ended = True
        self._allowed.release()

    def read(self) -> np.ndarray | None:
        self._asked.release()
        self._allowed.acquire()
        if self.ended:
            return None
        self.given += 1
        return np.full((2, 2, 3), self.given, np.uint8)


@pytest.fixture
def camera():
    camera = FakeCamera()
    yield camera
    camera.end()


def number(shot) -> int:
    return int(shot.image[0, 0, 0])


def test_a_slow_reader_gets_the_newest_and_each_frame_once(camera):
    newest = Newest(camera.read)
    camera.give(3)
    assert number(next(newest)) == 3 and newest.dropped == 2
    camera.give(1)
    assert number(next(newest)) == 4 and newest.dropped == 2
    camera.give(5)
    shot = next(newest)
    assert number(shot) == 9 and newest.dropped == 6 and newest.captured == 9
    assert shot.colour == "bgr" and shot.name == "000008"
    camera.end()
    assert list(newest) == []


def test_a_fast_reader_waits_and_misses_nothing(camera):
    newest = Newest(camera.read)
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(number(s) for s in newest))
    reader.start()
    for _ in range(3):
        before = len(seen)
        camera.give(1)
        while len(seen) == before:
            threading.Event().wait(0.001)
    camera.end()
    reader.join(5)
    assert seen == [1, 2, 3] and newest.dropped == 0


def test_the_last_frame_is_given_before_the_end(camera):
    newest = Newest(camera.read)
    camera.give(2)
    camera.end()
    assert [number(s) for s in newest] == [2]


def test_a_camera_that_hangs_is_an_error(camera):
    with pytest.raises(EdgekitError, match="no frame for"):
        next(Newest(camera.read, patience=0.05))


def test_what_the_camera_raises_reaches_the_reader():
    def broken() -> np.ndarray:
        raise EdgekitError("unplugged")

    with pytest.raises(EdgekitError, match="unplugged"):
        next(Newest(broken))


def test_closing_stops_reading():
    reads = threading.Event()

    def endless() -> np.ndarray:
        reads.set()
        return np.zeros((1, 1, 3), np.uint8)

    newest = Newest(endless)
    reads.wait(5)
    next(newest)
    newest.close()
    assert not newest._thread.is_alive()

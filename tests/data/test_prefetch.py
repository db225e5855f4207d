"""Batches made ahead in threads: order, errors, waiting, and an end without leftovers."""

from __future__ import annotations

import threading
import time

import pytest

from edgekit.data.batches import Prefetch


class Slow:
    """``Batches`` that are their own number, take their time and may fail."""

    def __init__(self, seconds=lambda step: 0.0, fail_at: int | None = None):
        self.seconds, self.fail_at = seconds, fail_at
        self.made: list[int] = []
        self.most_ahead = 0
        self.used = 0
        self.at_work = self.most_at_work = 0
        self._lock = threading.Lock()

    def __getitem__(self, step: int) -> int:
        with self._lock:
            self.made.append(step)
            self.most_ahead = max(self.most_ahead, step - self.used)
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
        time.sleep(self.seconds(step))
        with self._lock:
            self.at_work -= 1
        if step == self.fail_at:
            raise ValueError(f"batch {step}")
        return step


def threads() -> int:
    return threading.active_count()


def test_batches_come_in_order_whatever_order_they_are_made_in():
    before = threads()
    batches = Slow(lambda step: 0.004 * (step % 3 == 0))
    assert list(Prefetch(batches, 3, 20, workers=3)) == [(step, step) for step in range(3, 20)]
    assert sorted(batches.made) == list(range(3, 20))
    assert threads() == before


def test_an_error_surfaces_at_its_step_and_ends_the_threads():
    before, got = threads(), []
    with pytest.raises(ValueError, match="batch 6"):
        for step, _ in Prefetch(Slow(fail_at=6), 0, 20, workers=3):
            got.append(step)
    assert got == list(range(6))
    assert threads() == before


def test_leaving_early_ends_the_threads():
    before = threads()
    prefetch = Prefetch(Slow(), 0, 10_000, workers=2)
    for step, _ in prefetch:
        if step == 5:
            break
    prefetch.close()
    prefetch.close()  # again does no harm
    assert threads() == before


def test_it_never_used_can_be_closed():
    before = threads()
    Prefetch(Slow(), 0, 100).close()
    assert threads() == before


def test_nothing_left_to_do_is_an_empty_loop():
    assert list(Prefetch(Slow(), 7, 7)) == []


def test_it_stays_a_few_batches_ahead_and_no_more():
    batches = Slow()
    for step, _ in Prefetch(batches, 0, 40, workers=2, ahead=4):
        batches.used = step + 1
        time.sleep(0.001)
    assert batches.most_ahead <= 5


def test_many_workers_all_find_work():
    batches = Slow(lambda step: 0.03)
    for _ in Prefetch(batches, 0, 24, workers=8):
        pass
    assert batches.most_at_work == 8


def test_waited_is_the_time_the_consumer_stood_still():
    starved = Prefetch(Slow(lambda step: 0.02), 0, 5, workers=1)
    list(starved)
    assert 0.08 <= starved.waited < 2
    fed = Prefetch(Slow(), 0, 5, workers=1)
    for _ in fed:
        time.sleep(0.02)
    assert fed.waited < starved.waited

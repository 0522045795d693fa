"""Requests to stop, counted: what comes by two ways is one, and what comes twice is two."""

import multiprocessing
import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.workers.stop_requests import STOPPING, StopRequests, forget_in_forks, hear_with


class Ways:
    """Both ways to a worker: its own, and the one through its companion."""

    def __init__(self):
        self.passed_on = self.asked = 0
        self.requests = StopRequests(lambda: self.passed_on)

    def direct(self):
        """Somebody signals the worker."""
        self.asked = self.requests.hear()

    def count(self):
        """Somebody signals the companion; its own signal is on the way."""
        self.passed_on += 1

    def arrive(self):
        """The companion's signal arrives."""
        self.asked = self.requests.hear()


@pytest.mark.parametrize(
    ("order", "asked"),
    [
        ("DCA", 1),
        ("CDA", 1),
        ("CAD", 1),
        ("CD", 1),
        ("D", 1),
        ("CA", 1),
        ("DD", 2),
        ("CACA", 2),
        ("CCA", 2),
        ("DCADCA", 2),
        ("CDACDA", 2),
        ("CCDDAA", 2),
        ("DCDCAA", 2),
        ("CDCD", 2),
        ("DCACA", 2),
        ("DDD", 3),
        ("CACACA", 3),
        ("DCADCADCA", 3),
    ],
)
def test_what_comes_by_two_ways_is_one(order, asked):
    """D: heard directly, C: counted by the companion, A: its signal arrives, alone or as one with another."""
    ways = Ways()
    for step in order:
        {"D": ways.direct, "C": ways.count, "A": ways.arrive}[step]()
    assert asked == ways.asked


@given(st.integers(1, 4), st.randoms(use_true_random=False))
def test_no_order_makes_more_of_it(requests, random):
    """However the signals of so many requests to both processes interleave, it is never more than these."""
    ways, on_the_way, most = Ways(), 0, 0
    left = ["D"] * requests + ["C"] * requests
    random.shuffle(left)
    while left or on_the_way:
        if on_the_way and (not left or random.random() < 0.5):
            on_the_way -= 1
            ways.arrive()
        elif left.pop() == "D":
            ways.direct()
        else:
            ways.count()
            on_the_way += 1
        most = max(most, ways.asked)
    assert requests == ways.asked == most


def test_without_a_companion_each_signal_counts():
    """There is one way only."""
    requests = StopRequests()
    assert [1, 2, 3] == [requests.hear() for _ in range(3)]


def ends_at_once():
    """Fork, ask the fork to stop before it has drawn breath, and return the signal that ended it."""
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    os.kill(child, signal.SIGTERM)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def test_a_fork_ends_by_the_signals_that_its_parent_hears():
    """So `multiprocessing` can end what it started, and nobody waits for it for ever."""
    heard = []

    def hear(number, frame):
        heard.append(number)

    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        hear_with(hear)
        forget_in_forks(hear)
        with multiprocessing.get_context("fork").Pool(1) as pool:
            child = pool.apply(os.getpid)
            assert child != os.getpid()
        assert [signal.SIGTERM] * 50 == [ends_at_once() for _ in range(50)]
        assert not {*STOPPING} & signal.pthread_sigmask(signal.SIG_BLOCK, [])
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert [signal.SIGTERM] == heard

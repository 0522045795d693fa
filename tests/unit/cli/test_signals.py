"""Ctrl-C and its like, to be waited for."""

import os
import signal
import time

from holdfast.cli.supervisor.signals import StopSignals


def test_a_signal_ends_the_wait_at_once():
    """Whoever waits is woken by the first signal; the second one asks to hurry."""
    with StopSignals() as signals:
        assert not signals.wait(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        began = time.monotonic()
        assert signals.wait(20.0)
        assert time.monotonic() - began < 5
        assert not signals.must_hurry()
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.must_hurry()


def test_the_handlers_of_others_come_back():
    """After the block signals mean what they meant before."""
    before = signal.getsignal(signal.SIGINT)
    with StopSignals():
        assert before is not signal.getsignal(signal.SIGINT)
    assert before is signal.getsignal(signal.SIGINT)

"""What a worker's signs mean for the three questions."""

import pytest

from holdfast.tests.support.vitals import NEVER, SetVitals
from holdfast.workers.vitals import VitalLimits, live, ready, startup

LIMITS = VitalLimits(loop_seconds=10, broker_seconds=20, ledger_seconds=30)


@pytest.mark.parametrize(
    ("vitals", "fit"),
    [
        (SetVitals(), True),
        (SetVitals(tick_age=9.9), True),
        (SetVitals(tick_age=10.0), False),
        (SetVitals(tick_age=NEVER), False),
        (SetVitals(broker_age=None, ledger_age=None, started=False, draining=True), True),
    ],
)
def test_live_is_true_to_the_loop_alone(vitals, fit):
    """A worker lives while its loop turns, whatever becomes of broker and database."""
    assert fit == live(vitals, LIMITS).is_fit


@pytest.mark.parametrize(
    ("vitals", "reason"),
    [
        (SetVitals(), "ok"),
        (SetVitals(draining=True), "draining"),
        (SetVitals(started=False), "starting"),
        (SetVitals(broker_age=None), "the broker was not reached yet"),
        (SetVitals(broker_age=20.0), "the broker was last reached 20.0 s ago"),
        (SetVitals(ledger_age=31.0), "the database was last reached 31.0 s ago"),
        (SetVitals(tick_age=NEVER), "the event loop has not turned for inf s"),
    ],
)
def test_ready_needs_broker_and_database(vitals, reason):
    """A worker is ready when it is started, not draining, and has seen broker and database lately."""
    verdict = ready(vitals, LIMITS)
    assert reason == verdict.reason
    assert ("ok" == reason) == verdict.is_fit


def test_startup_is_about_the_start():
    """The start is over when it is over."""
    assert not startup(SetVitals(started=False), LIMITS).is_fit
    assert startup(SetVitals(draining=True), LIMITS).is_fit

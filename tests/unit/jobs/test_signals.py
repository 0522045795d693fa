"""What a handler may raise: whatever it passes, the decision stands."""

from decimal import Decimal

import pytest

from holdfast.jobs.signals import Cancel, Park, Quarantine, Retry, Snooze


class Speechless(Exception):
    """An exception whose own text fails."""

    def __str__(self):
        raise RuntimeError("nothing to say")


@pytest.mark.parametrize("make", [Retry, Cancel, Quarantine, lambda why: Park("x", reason=why)])
def test_a_reason_is_a_text(make):
    """Handlers pass the exception that they caught; what is kept is its text."""
    assert "broken" == make(ValueError("broken")).reason
    assert "a Speechless that has no text" == make(Speechless()).reason


def test_a_delay_is_a_number():
    """Any number of seconds is taken, and what is none is refused where it is written."""
    assert 1.5 == Snooze(delay_seconds=Decimal("1.5")).delay_seconds
    assert 2.0 == Retry(delay_seconds=2).delay_seconds
    for bad in (float("nan"), "soon"):
        with pytest.raises(ValueError, match=r"number|could not convert"):
            Snooze(delay_seconds=bad)

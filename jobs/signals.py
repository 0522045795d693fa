"""What a handler may raise to say how its attempt ends. Not errors."""

import math
from datetime import datetime


class Signal(BaseException):
    """A handler's own decision.

    Derives from BaseException so that a handler's `except Exception` does not
    swallow the decision by accident.
    """


class Retry(Signal):
    """Try again later and spend the attempt; `delay_seconds` None means the task's policy decides."""

    def __init__(self, reason: object = "", *, delay_seconds: float | None = None) -> None:
        """Ask for another attempt, after at least `delay_seconds`; `reason` may be the exception."""
        self.reason = _text(reason)
        self.delay_seconds = _seconds(delay_seconds)
        super().__init__(self.reason)


class Snooze(Signal):
    """Start again at a time; the attempt is given back."""

    def __init__(
        self, *, delay_seconds: float | None = None, until: datetime | None = None, reason: object = ""
    ) -> None:
        """Sleep for `delay_seconds` (>= 0) or until an instant with a time zone; exactly one of the two."""
        if (delay_seconds is None) == (until is None):
            raise TypeError("Snooze takes either delay_seconds or until")
        if until is not None and until.tzinfo is None:
            raise TypeError("Snooze(until=...) needs an instant with a time zone")
        self.delay_seconds = _seconds(delay_seconds)
        self.until = until
        self.reason = _text(reason)
        super().__init__(self.reason)


class Park(Signal):
    """Wait for something that is not a time; the attempt is given back."""

    def __init__(self, waiting_for: str, *, reason: object = "") -> None:
        """Name what the job waits for, for example `upstream:search`."""
        self.waiting_for = _text(waiting_for)
        self.reason = _text(reason)
        super().__init__(self.reason or self.waiting_for)


class Cancel(Signal):
    """End the job as cancelled."""

    def __init__(self, reason: object = "") -> None:
        """End the job; `reason` is shown to whoever asks."""
        self.reason = _text(reason)
        super().__init__(self.reason)


class Quarantine(Signal):
    """Put the job aside: trying again would not help."""

    def __init__(self, reason: object = "") -> None:
        """End the job as quarantined(permanent); `reason` is shown to the operator."""
        self.reason = _text(reason)
        super().__init__(self.reason)


def _text(value: object) -> str:
    # Handlers pass the exception that they caught, and its own text may be what fails.
    try:
        return str(value)
    except Exception:  # noqa: BLE001 -- whatever it raises, the decision to retry or cancel stands
        return f"a {type(value).__name__} that has no text"


def _seconds(value: float | None) -> float | None:
    if value is None:
        return None
    seconds = float(value)
    if math.isnan(seconds):
        raise ValueError("delay_seconds is no number")
    return seconds

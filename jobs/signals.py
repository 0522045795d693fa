"""What a handler may raise to say how its attempt ends. Not errors."""

from datetime import datetime


class Signal(BaseException):
    """A handler's own decision.

    Derives from BaseException so that a handler's `except Exception` does not
    swallow the decision by accident.
    """


class Retry(Signal):
    """Try again later and spend the attempt; `delay_seconds` None means the task's policy decides."""

    def __init__(self, reason: str = "", *, delay_seconds: float | None = None) -> None:
        """Ask for another attempt, after at least `delay_seconds`."""
        self.reason = reason
        self.delay_seconds = delay_seconds
        super().__init__(reason)


class Snooze(Signal):
    """Start again at a time; the attempt is given back."""

    def __init__(
        self, *, delay_seconds: float | None = None, until: datetime | None = None, reason: str = ""
    ) -> None:
        """Sleep for `delay_seconds` (>= 0) or until an instant with a time zone; exactly one of the two."""
        if (delay_seconds is None) == (until is None):
            raise TypeError("Snooze takes either delay_seconds or until")
        if until is not None and until.tzinfo is None:
            raise TypeError("Snooze(until=...) needs an instant with a time zone")
        self.delay_seconds = delay_seconds
        self.until = until
        self.reason = reason
        super().__init__(reason)


class Park(Signal):
    """Wait for something that is not a time; the attempt is given back."""

    def __init__(self, waiting_for: str, *, reason: str = "") -> None:
        """Name what the job waits for, for example `upstream:search`."""
        self.waiting_for = waiting_for
        self.reason = reason
        super().__init__(reason or waiting_for)


class Cancel(Signal):
    """End the job as cancelled."""

    def __init__(self, reason: str = "") -> None:
        """End the job; `reason` is shown to whoever asks."""
        self.reason = reason
        super().__init__(reason)


class Quarantine(Signal):
    """Put the job aside: trying again would not help."""

    def __init__(self, reason: str = "") -> None:
        """End the job as quarantined(permanent); `reason` is shown to the operator."""
        self.reason = reason
        super().__init__(reason)

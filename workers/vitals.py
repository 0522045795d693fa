"""What a worker knows of itself, and what follows from it for whoever starts and stops workers.

Three questions with three answers, as orchestrators ask them: *live* (restart me if not), *ready*
(count me in for a rollout), *started* (begin to ask the other two). Live must be true to the event
loop and nothing else: a broker or a database that is away is no reason to restart a fleet.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from holdfast.health.report import Report

LIVE: Final = "live"
READY: Final = "ready"
STARTUP: Final = "startup"


class WorkerVitals(Protocol):
    """Read by probe threads at any time; no method may block, save `health_report`."""

    def loop_tick_age_seconds(self) -> float:
        """Return how long ago the event loop last turned; infinite before its first turn."""
        ...

    def is_started(self) -> bool:
        """Tell whether tasks are loaded, the schema fits and the consumer was ready once."""
        ...

    def is_draining(self) -> bool:
        """Tell whether the worker takes no new jobs any more."""
        ...

    def broker_age_seconds(self) -> float | None:
        """Return how long ago the broker was last known to be there; None: never yet."""
        ...

    def ledger_age_seconds(self) -> float | None:
        """Return how long ago the ledger last answered; None: never yet."""
        ...

    def running(self) -> int:
        """Return how many jobs run."""
        ...

    def slots(self) -> int:
        """Return how many jobs may run at once."""
        ...

    def health_report(self) -> Report:
        """Check the components; may block for as long as the checks may, so it should be cached."""
        ...


@dataclass(frozen=True, slots=True)
class VitalLimits:
    """When a worker counts as unfit."""

    loop_seconds: float = 30.0
    """The loop may stand still so long; `loop_stall_limit_seconds` in the settings."""
    broker_seconds: float = 30.0
    """A worker that has not heard of its broker for so long is not ready."""
    ledger_seconds: float = 30.0
    """The same for the database: a few heartbeats."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one of the three questions."""

    is_fit: bool
    reason: str = "ok"

    def as_json(self) -> dict[str, object]:
        """Return the answer as the probes give it."""
        return {"status": "ok" if self.is_fit else "unfit", "detail": self.reason}


def live(vitals: WorkerVitals, limits: VitalLimits) -> Verdict:
    """Judge by the event loop alone."""
    age_seconds = vitals.loop_tick_age_seconds()
    if age_seconds < limits.loop_seconds:
        return Verdict(is_fit=True)
    return Verdict(is_fit=False, reason=f"the event loop has not turned for {age_seconds:.1f} s")


def ready(vitals: WorkerVitals, limits: VitalLimits) -> Verdict:
    """Judge whether the worker takes jobs: started, not draining, broker and database seen lately."""
    if vitals.is_draining():
        return Verdict(is_fit=False, reason="draining")
    if not vitals.is_started():
        return Verdict(is_fit=False, reason="starting")
    alive = live(vitals, limits)
    if not alive.is_fit:
        return alive
    for name, age_seconds, limit_seconds in (
        ("broker", vitals.broker_age_seconds(), limits.broker_seconds),
        ("database", vitals.ledger_age_seconds(), limits.ledger_seconds),
    ):
        if age_seconds is None:
            return Verdict(is_fit=False, reason=f"the {name} was not reached yet")
        if age_seconds >= limit_seconds:
            return Verdict(is_fit=False, reason=f"the {name} was last reached {age_seconds:.1f} s ago")
    return Verdict(is_fit=True)


def startup(vitals: WorkerVitals, limits: VitalLimits) -> Verdict:
    """Judge whether the start is over; once it is, it stays so."""
    del limits
    return Verdict(is_fit=True) if vitals.is_started() else Verdict(is_fit=False, reason="starting")


QUESTIONS: Final = {LIVE: live, READY: ready, STARTUP: startup}

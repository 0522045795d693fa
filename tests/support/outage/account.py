"""What a run came to, in the numbers that are judged."""

import math
from dataclasses import dataclass

from holdfast.tests.support.outage.world import DOWN, UP, WAITED_LONG, Run, capacity, ideal_drain


@dataclass(frozen=True, slots=True)
class Account:
    """One run."""

    wasted_down: int
    wasted_after: int
    peak: float
    """Calls of the worst second after the recovery, over what the upstream could take then."""
    drain_seconds: float
    """After the recovery, until the last job is done that had waited for long; infinite: never."""
    drain_ratio: float
    """Over the least that is possible."""
    calls_a_job: float
    lost: int


def account(run: Run, jobs_a_second: float) -> Account:
    """Add up."""
    jobs = len(run.works)
    undone = sum(work.done < 0 for work in run.works)
    # Those that were there, or came, while it was down or coming back.
    waited = [work.done for work in run.works if work.done - work.came > WAITED_LONG]
    drain = math.inf if undone else max(max(waited, default=UP) - UP, 0.0)
    seconds = [second for second in run.calls if second >= UP]
    peak = max((run.calls[second] / max(capacity(second + 0.5), 1.0) for second in seconds), default=0.0)
    return Account(
        wasted_down=sum(count for second, count in run.wasted.items() if DOWN <= second < UP),
        wasted_after=sum(count for second, count in run.wasted.items() if second >= UP),
        peak=peak,
        drain_seconds=drain,
        drain_ratio=drain / ideal_drain(jobs_a_second),
        calls_a_job=sum(run.calls.values()) / jobs,
        lost=undone,
    )

"""Whose fault was it? A death becomes one outcome for each job that ran: suspected, or merely lost (B11).

Pure: it gets what is known and returns what to write.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import LeaseToken, WorkerId
from holdfast.jobs.job import LeftBehind, Settlement
from holdfast.jobs.lease import Fence, Lease
from holdfast.jobs.outcome import Crashed
from holdfast.workers.companion.page import Seat
from holdfast.workers.companion.scene import Death

RECENT_SECONDS: Final = 5.0
"""A job that began so shortly before the death is a prime suspect."""
SHARE: Final = 8
"""A cohort is an eighth of the one before: 1,000 jobs, then 125, 15, 1."""
FEW: Final = 2
"""Cohorts this small are not worth a death of their own."""
LARGEST_COHORT: Final = 125
"""However many suspects there are: so no job is there at more than four deaths before it is poison."""
FAILURE_TYPE: Final = "holdfast.jobs.errors.ProcessDied"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a dead worker's page says."""

    seats: Sequence[Seat] = ()
    on_loop: int = 0
    """The seat whose code was on the loop."""
    loop_thread: int = 0


def cohort_limit(suspects: int) -> int:
    """Return how many of so many suspects may share a process from now on."""
    limit = min(suspects // SHARE, LARGEST_COHORT)
    return limit if limit > FEW else 1


def accused(worker_id: WorkerId, left: Sequence[LeftBehind], death: Death, scene: Scene) -> list[Settlement]:
    """Return the ends of the attempts that are suspected of a worker's death; the others are only lost."""
    suspects = _suspects(left, death, scene) if death.is_proof else []
    limit = cohort_limit(len(suspects))
    # Only the token writes; the other fields of the lease are for people.
    return [
        Settlement(
            Lease(one.job_id, one.token, worker_id, Fence(0, 0), 0),
            Crashed(failure_of(death, one), limit, is_alone=False),
        )
        for one in suspects
    ]


def failure_of(death: Death, left: LeftBehind | None = None) -> Failure:
    """Write the death down for the job's record."""
    words = death.words
    if left is not None:
        words += f", {left.seconds:.1f} s after it began"
        if left.said:
            words += f"; it had said: {left.said}"
    return Failure(type=FAILURE_TYPE, message=words, traceback=death.trace)


def _suspects(left: Sequence[LeftBehind], death: Death, scene: Scene) -> list[LeftBehind]:
    by_token = {one.token: one for one in left}
    on_loop = {seat.token for seat in scene.seats if seat.number == scene.on_loop}
    on_threads = {seat.token: seat.thread for seat in scene.seats if seat.thread}
    for tokens in _in_order_of_proof(left, death, on_loop, on_threads, scene.loop_thread):
        if found := [by_token[token] for token in by_token if token in tokens]:
            return found
    return list(left)


def _in_order_of_proof(
    left: Sequence[LeftBehind],
    death: Death,
    on_loop: set[LeaseToken],
    on_threads: dict[LeaseToken, int],
    loop_thread: int,
) -> list[set[LeaseToken]]:
    if death.is_stuck:
        return [on_loop, set(on_threads)]
    if death.crashed_thread is not None and death.crashed_thread == loop_thread:
        # Code that no handler's task runs, a callback for one: any job on the loop may have left it there.
        return [on_loop, {one.token for one in left} - set(on_threads)]
    crashed = {token for token, thread in on_threads.items() if thread == death.crashed_thread}
    recent = {one.token for one in left if one.seconds < RECENT_SECONDS}
    return [crashed, on_loop | set(on_threads) | recent]

"""The releaser: jobs that wait for an upstream go on when it takes calls, and never all at once."""

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.events import Events, JobReleased, ServiceFailed
from holdfast.jobs.job import Released, Ring
from holdfast.jobs.outcome import UPSTREAM
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.release import Release, Turnstile
from holdfast.workers.services.sharing import Queueing, shares_of
from holdfast.workers.threads import DaemonThreads

RAMP_SECONDS: Final = 0.1
"""The shortest pause: a ramp hands out its permits by the tenth of a second."""
PATIENCE_SECONDS: Final = 0.05
"""How long a round waits for answers; what comes later is for the next one."""
LONGEST_REST_SECONDS: Final = 30.0
"""An upstream whose tickets nobody could take is asked ever less often, but so often."""
_MOST_ASKED: Final = 32
_SHARE: Final = 10
"""Counting takes at most a tenth of the time."""
_LONGEST_ERROR: Final = 500
_ENDED: Final = frozenset({JobState.CANCELLED, JobState.QUARANTINED})

Tickets = list[str | None]


@dataclass(slots=True)
class _Line:
    """Those that wait for one upstream."""

    upstream: str
    groups: list[Queueing] = field(default_factory=list[Queueing])
    turns: dict[int, str] = field(default_factory=dict[int, str])
    ask_at: float = 0.0
    asking: "Future[Release] | None" = None
    in_vain: int = 0
    """Answers in a row whose tickets nobody took."""

    @property
    def waiting(self) -> int:
        return sum(group.waiting for group in self.groups)


class Releaser:
    """Releases parked jobs at the rate that their upstreams allow.

    A level, not an edge: each sweep sees all that wait, whether or not anybody
    told of a change (B14). Between two counts, which may be expensive, it goes
    by what it released itself. Upstreams are asked on threads, side by side.
    """

    name = "releaser"

    def __init__(
        self,
        ledger: Ledger,
        turnstile: Turnstile,
        ring: Callable[[Sequence[Ring]], object],
        *,
        events: Events,
        clock: Clock,
        sweep_seconds: float,
        batch: int,
    ) -> None:
        """Count every `sweep_seconds`; release at most `batch` jobs of an upstream at a time.

        `ring` never blocks. Who has a ticket is rung at once, since that may expire; who needs none is
        available like any other job, and the stager rings.
        """
        self._ledger = ledger
        self._turnstile = turnstile
        self._ring = ring
        self._events = events
        self._clock = clock
        self._sweep_seconds = sweep_seconds
        self._batch = batch
        self._threads = DaemonThreads(_MOST_ASKED, name="holdfast-turnstile")
        self._lines: dict[str, _Line] = {}
        self._probers: dict[str, Released] = {}
        """By upstream: who was let go as its probe, until a worker has the job."""
        self._count_at = 0.0

    @property
    def pause_seconds(self) -> float:
        """Until the next count, question or look for an answer, whichever comes first."""
        # Of a line that was asked the time is past, so its answer is looked for by the tenth of a second.
        due = [line.ask_at for line in self._lines.values() if line.waiting or line.asking is not None]
        return max(min([self._count_at, *due]) - self._clock.monotonic(), RAMP_SECONDS)

    def run_once(self) -> bool:
        """Count, if it is time; ask the upstreams whose turn it is; release what may go."""
        now = self._clock.monotonic()
        if now >= self._count_at:
            self._count(now)
        asked = [line.asking for line in self._lines.values() if self._ask(line, now) and line.asking]
        self._wait(asked)
        answered = [line for line in self._lines.values() if line.asking is not None and line.asking.done()]
        has_more = False
        for line in answered:
            has_more = self._hear(line) or has_more
        return has_more

    def give_back(self, tickets: Sequence[str]) -> None:
        """Return the tickets of jobs whose workers are gone. Any thread may call this; it never blocks."""
        by_upstream: dict[str, list[str]] = {}
        for text in tickets:
            ticket = Ticket.of(text)
            if ticket is not None:
                by_upstream.setdefault(ticket.upstream, []).append(text)
        for upstream, theirs in by_upstream.items():
            self._give_back(upstream, theirs)

    def _count(self, now: float) -> None:
        # Set before, as a ledger that is away is not to be asked at once again.
        self._count_at = now + self._sweep_seconds
        self._look_after_probers()
        found: dict[str, list[Queueing]] = {}
        for group in self._ledger.parked_groups():
            groups = found.setdefault(group.waiting_for.removeprefix(UPSTREAM), [])
            groups.append(Queueing(group.priority, group.tenant, group.waiting))
        for upstream, groups in found.items():
            self._lines.setdefault(upstream, _Line(upstream)).groups = groups
        for upstream, line in tuple(self._lines.items()):
            if upstream not in found:
                line.groups = []
                if line.asking is None:
                    del self._lines[upstream]
        cost = self._clock.monotonic() - now
        self._count_at = now + max(self._sweep_seconds, _SHARE * cost)

    def _look_after_probers(self) -> None:
        """Give back the probes of jobs that ended before they began: cancelled, or quarantined.

        Whoever ended them need not reach a store, and all who wait would wait for the probe's lease. A
        ramp's permit is lost with its second anyhow.
        """
        if not self._probers:
            return
        found = self._ledger.find([one.job_id for one in self._probers.values()])
        for upstream, one in tuple(self._probers.items()):
            job = found.get(one.job_id)
            if job is not None and job.state is JobState.AVAILABLE:
                continue
            # From the claim on, its worker or the rescuer gives back what no call has used.
            del self._probers[upstream]
            if one.ticket is not None and (job is None or job.state in _ENDED):
                self.give_back([one.ticket])

    def _ask(self, line: _Line, now: float) -> bool:
        if line.asking is not None or now < line.ask_at or not line.waiting:
            return False
        # All that wait: whether they grow fewer tells the turnstile whether those that went come back.
        line.asking = self._threads.submit(partial(self._turnstile.ask, line.upstream, line.waiting))
        return True

    def _wait(self, asked: Sequence["Future[Release]"]) -> None:
        until = self._clock.monotonic() + PATIENCE_SECONDS
        for answer in asked:
            with contextlib.suppress(TimeoutError, CancelledError):
                answer.exception(timeout=max(until - self._clock.monotonic(), 0.0))

    def _hear(self, line: _Line) -> bool:
        """Release what an answer allows; True: there is more at once."""
        answer, line.asking = line.asking, None
        line.ask_at = self._clock.monotonic() + self._sweep_seconds
        if answer is None:
            return False
        try:
            release = answer.result()
            taken = self._let_go(line, list(release.tickets))
        except LedgerUnavailable:
            # The heartbeat tells of it. Who has gone is shown by the next count.
            return False
        except Exception as error:  # noqa: BLE001 -- whatever one upstream's store does, the others are served
            self._fail(line.upstream, error)
            return False
        return self._plan(line, release, taken)

    def _plan(self, line: _Line, release: Release, taken: int) -> bool:
        now, asked_for = self._clock.monotonic(), len(release.tickets)
        line.in_vain = line.in_vain + 1 if asked_for and not taken else 0
        if line.in_vain:
            rest = min(self._sweep_seconds * 2.0 ** min(line.in_vain, 16), LONGEST_REST_SECONDS)
            line.ask_at = now + rest
            return False
        has_more = taken >= self._batch and line.waiting > 0
        at_the_latest = release.next_in_seconds if release.next_in_seconds >= 0 else self._sweep_seconds
        line.ask_at = now if has_more else now + max(min(at_the_latest, self._sweep_seconds), RAMP_SECONDS)
        return has_more

    def _let_go(self, line: _Line, tickets: Tickets) -> int:
        """Give the tickets to jobs; what nobody takes goes back. Returns how many were taken."""
        taken = 0
        try:
            while tickets and (shares := shares_of(line.groups, len(tickets), line.turns)):
                for share in shares:
                    mine, tickets = tickets[: share.count], tickets[share.count :]
                    # Not to be given back if this fails: a job may have them.
                    released = self._ledger.release(
                        UPSTREAM + line.upstream, share.group.priority, share.group.tenant, mine
                    )
                    taken += len(released)
                    self._tell(line.upstream, share.group.priority, released)
                    is_short = len(released) < share.count
                    # Others were faster, or cannot run now; the next count knows better.
                    share.group.waiting = 0 if is_short else share.group.waiting - share.count
                    tickets = _left(mine, released) + tickets
        finally:
            self._give_back(line.upstream, [ticket for ticket in tickets if ticket is not None])
        return taken

    def _tell(self, upstream: str, priority: int, released: Sequence[Released]) -> None:
        rings = [
            Ring(one.job_id, one.task, one.queue, priority)
            for one in released
            if one.ticket is not None and one.cohort is None
        ]
        if rings:
            self._ring(rings)
        for one in released:
            if (ticket := Ticket.of(one.ticket)) is not None and ticket.probe:
                self._probers[upstream] = one
            self._events.emit(
                JobReleased(
                    one.job_id, one.task, one.queue, upstream=upstream, waited_seconds=one.waited_seconds
                )
            )

    def _give_back(self, upstream: str, tickets: list[str]) -> None:
        if tickets:
            done = self._threads.submit(partial(self._turnstile.give_back, upstream, tickets))
            done.add_done_callback(partial(self._check, upstream))

    def _check(self, upstream: str, done: "Future[None]") -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._fail(upstream, error)

    def _fail(self, upstream: str, error: BaseException) -> None:
        said = f"{upstream}: {error!r}"
        self._events.emit(ServiceFailed(service=self.name, error=said[:_LONGEST_ERROR]))


def _left(mine: Tickets, released: Sequence[Released]) -> Tickets:
    taken = Counter(one.ticket for one in released)
    left: Tickets = []
    for ticket in mine:
        if taken[ticket] > 0:
            taken[ticket] -= 1
        else:
            left.append(ticket)
    return left

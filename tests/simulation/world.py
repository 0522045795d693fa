"""One run: a seed, its plan, three workers, twenty jobs, and a judge that looks at every commit."""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from celery.worker import state as celery_state

from holdfast.jobs.events import Event, JobClaimed
from holdfast.jobs.ids import JobId
from holdfast.jobs.ring_events import RingDropped, RingsSent, RingTurned
from holdfast.resilience.errand import current_errand
from holdfast.tests.simulation import parts
from holdfast.tests.simulation.broker import Broker
from holdfast.tests.simulation.commits import Commits
from holdfast.tests.simulation.database import Database
from holdfast.tests.simulation.desk import Desk
from holdfast.tests.simulation.fibers import MOST_STEPS, Kernel, Process
from holdfast.tests.simulation.fleet import Fleet
from holdfast.tests.simulation.judge import Judge
from holdfast.tests.simulation.line import Line
from holdfast.tests.simulation.matrix import Cell
from holdfast.tests.simulation.node import LEASE_SECONDS
from holdfast.tests.simulation.plan import CALM_AT_SECONDS, Plan
from holdfast.tests.simulation.story import Broken, Story
from holdfast.tests.simulation.surroundings import surroundings
from holdfast.tests.simulation.troubles import Troubles
from holdfast.tests.simulation.upstream import SEARCH, Upstream

FEWEST_STEPS: Final = 200
_STEPS_BETWEEN_LOOKS: Final = 10
"""The end may be found a little late."""
_CALM_SECONDS: Final = 150.0
_NOISY_CALM_SECONDS: Final = 400.0
"""Where no worker is ever quiet, a lost ring is rung again after a minute, or two."""


@dataclass
class Report:
    """What a run came to."""

    seed: int
    steps: int
    seconds: float
    jobs: int
    workers: int
    crashes: int
    broker_losses: int
    cells: list[Cell]
    broken: str = ""
    """The promise that was broken; empty if none was."""
    story: list[str] = field(default_factory=list)


def run(database: Database, seed: int) -> Report:
    """Play one seed to its end."""
    return World(database, seed).run()


class World:
    """Everything of one run; to the handlers it is the stage."""

    def __init__(self, database: Database, seed: int) -> None:
        self.seed = seed
        self.kernel = kernel = Kernel(seed)
        self.random: Random = kernel.random
        self.seen: set[str] = set()
        self._database = database
        self._plan = plan = Plan(seed, kernel.random)
        self.story = Story()
        self._broker = broker = Broker(kernel, self._on_lost_ring, loses=not plan.is_noisy)
        self._judge = judge = Judge(
            database, parts.jobs(kernel.random, seed), parts.POLICY.max_attempts, LEASE_SECONDS
        )
        self._commits = Commits(kernel, database, judge, plan, self._note)
        line: Any = Line(kernel, database.ledger, self._way_to_the_ledger)
        self._desk = Desk(kernel, judge, line)
        self._commits.on_failover = self._desk.ask_again
        self._upstream = Upstream(kernel)
        self._fleet = Fleet(
            kernel, plan, broker, line, self._upstream, on_event=self._on_event, on_ack=self._on_ack
        )
        self._troubles = Troubles(kernel, plan, broker, self._fleet, self._note)
        kernel.stage = self

    @property
    def approved(self) -> set[str]:
        """What has been approved."""
        return self._desk.approved

    def ask_for_approval(self, job_id: JobId, seconds: float) -> None:
        """Let somebody approve it after a while."""
        self._desk.ask_for_approval(job_id, seconds)

    def call(self) -> None:
        """Call the upstream, with the ticket that the running job brought along."""
        errand = current_errand()
        self._upstream.call(None if errand is None else errand.tickets.pop(SEARCH, None))

    def handler_began(self, job_id: str, token: str) -> None:
        """Note which process runs a handler."""
        self._judge.handlers[job_id, token] = self.kernel.here().process

    def handler_ended(self, job_id: str, token: str) -> None:
        """Note that it has ended."""
        self._judge.handlers.pop((job_id, token), None)

    def run(self) -> Report:
        """Play to the end."""
        broken = ""
        with surroundings(self.kernel):
            self._database.begin(self._commits.ask, lambda: self.kernel.now + self._troubles.jumped_seconds)
            try:
                self._begin()
                while not self._is_over():
                    self._go_on()
                self._judge.end()
            except Broken as error:
                broken = str(error)
            finally:
                self.kernel.close()
                self._database.end()
                celery_state.reset_state()
        return self._report(broken)

    def _begin(self) -> None:
        self._database.ledger.enqueue(self._judge.jobs)
        self._commits.begin()
        self._fleet.begin()
        self._desk.begin()
        self._troubles.begin()

    def _go_on(self) -> None:
        for _ in range(_STEPS_BETWEEN_LOOKS):
            self.kernel.step()
            if self._commits.broken is not None:
                raise self._commits.broken

    def _is_over(self) -> bool:
        kernel = self.kernel
        if kernel.steps > MOST_STEPS:
            raise Broken(f"no end after {MOST_STEPS} steps")
        calm = _NOISY_CALM_SECONDS if self._plan.is_noisy else _CALM_SECONDS
        if kernel.now > CALM_AT_SECONDS + calm:
            return True
        is_told = bool(self._fleet.crashed > 0 and self._troubles.done["lose the broker"])
        return is_told and self._desk.open == 0 and kernel.steps >= FEWEST_STEPS and self._judge.is_over

    def _report(self, broken: str) -> Report:
        return Report(
            seed=self.seed,
            steps=self.kernel.steps,
            seconds=self.kernel.now,
            jobs=len(self._judge.jobs),
            workers=self._fleet.started,
            crashes=self._fleet.crashed,
            broker_losses=self._troubles.done["lose the broker"],
            cells=self._commits.cells,
            broken=broken,
            story=list(self.story.tell()) if broken else [],
        )

    def _note(self, who: str, what: str) -> None:
        self.story.note(self.kernel.now, self.kernel.steps, who, what)

    def _way_to_the_ledger(self) -> float:
        self._commits.remember()
        return self._plan.latency(self.kernel.now)

    def _on_event(self, process: Process, event: Event) -> None:
        match event:
            case RingDropped():
                self._judge.excused.add(event.job_id)
            case JobClaimed():
                self._note(process.name, f"runs {event.job_id}, attempt {event.attempt}, fence {event.fence}")
            case RingsSent() | RingTurned():
                return
            case _:
                self._note(process.name, repr(event))

    def _on_ack(self, process: Process, job_id: JobId, token: str) -> None:
        # A ring that brought another job is made up for by that one's.
        if token not in self._judge.granted:
            others, now = self._broker.has_ring(job_id), self._database.now()
            self._commits.look(lambda: self._judge.ring_is_gone(process, job_id, others=others, now=now))

    def _on_lost_ring(self, job_id: JobId, how: str) -> None:
        self._note("broker", f"a ring of {job_id} was {how}")
        self._judge.excused.add(job_id)

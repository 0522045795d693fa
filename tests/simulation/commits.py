"""What becomes of a commit: it may fail, its answer may be lost, its author may die; the judge looks."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from holdfast.jobs.lease import Lease
from holdfast.jobs.state import JobState, Move
from holdfast.tests.simulation.database import AskingConnection, Database
from holdfast.tests.simulation.fibers import Crashed, Fiber, Kernel, Process
from holdfast.tests.simulation.judge import Judge, Life
from holdfast.tests.simulation.matrix import Cell, CrashPoint, Transition
from holdfast.tests.simulation.node import LEASE_SECONDS
from holdfast.tests.simulation.plan import Plan
from holdfast.tests.simulation.story import Broken

_MOMENTS = "SELECT job_id, kind, state FROM job_moments WHERE rowid > ? ORDER BY rowid"


class Commits:
    """Asked by the database at each commit."""

    def __init__(
        self, kernel: Kernel, database: Database, judge: Judge, plan: Plan, note: Callable[[str, str], object]
    ) -> None:
        self.cells: list[Cell] = []
        """The crash points that were met."""
        self.broken: Broken | None = None
        """The first promise that was broken: raised to the run, not to the worker that broke it."""
        self.on_failover: Callable[[], object] = bool
        self._kernel = kernel
        self._database = database
        self._judge = judge
        self._plan = plan
        self._note = note
        self._last_moment = 0
        self._memory: sqlite3.Connection | None = None
        self._lives_of_then: dict[str, Life] = {}
        self._forget_in: int | None = None
        self._is_healing = False

    def begin(self) -> None:
        """Start from what is committed."""
        self._last_moment = self._database.rows("SELECT max(rowid) FROM job_moments")[0][0]
        self._judge.begin()

    def remember(self) -> None:
        """Keep what is committed, so that a failover can forget what comes next."""
        if self._plan.has_failover and self._forget_in is None:
            self._memory, self._lives_of_then = self._database.snapshot(), dict(self._judge.lives)

    def look(self, judgement: Callable[[], object]) -> None:
        """Let the judge look; what is broken ends the run after this step."""
        try:
            judgement()
        except Broken as broken:
            self.broken = self.broken or broken

    def ask(self, connection: AskingConnection) -> None:
        """Commit, or not."""
        fiber = self._kernel.current
        if fiber is None or self._is_healing:
            connection.really_commit()
            return
        process = self._kernel.here().process
        if process.line_is_down_until > self._kernel.now:
            raise _broken_line()
        if connection.has_changed:
            self._write(connection, fiber, process)
        else:
            connection.really_commit()
        self._kernel.sleep(self._plan.latency(self._kernel.now))

    def _write(self, connection: AskingConnection, fiber: Fiber, process: Process) -> None:
        moments = connection.execute(_MOMENTS, (self._last_moment,)).fetchall()
        made = [self._transition(*moment) for moment in moments if moment[1] != "enqueue"]
        point = self._plan.strike(made, self._kernel.now)
        if point is not None:
            self.cells += [Cell(transition, point) for transition in made]
            self._note(process.name, f"{point}: {fiber.verb} {', '.join(map(str, made))}")
        if point is CrashPoint.BEFORE_COMMIT:
            self._kill(process)
        if point is CrashPoint.REQUEST_LOST:
            raise self._cut(process)
        connection.really_commit()
        self._committed(fiber, process, {job_id: kind for job_id, kind, _ in moments})
        self._after(point, process)

    def _transition(self, job_id: str, kind: str, state: str) -> Transition:
        return Transition(Move(kind), JobState(self._judge.rows[job_id].state), JobState(state))

    def _committed(self, fiber: Fiber, process: Process, kinds: Mapping[str, str]) -> None:
        now, verb, arguments = self._kernel.now, fiber.verb, fiber.arguments
        for job_id, kind in kinds.items():
            self._note(process.name, f"{verb}: {job_id} {kind}")
        self._last_moment += len(kinds)
        if verb == "declare_dead":
            self._note(process.name, f"declares {arguments[0]} dead")
            self.look(lambda: self._judge.declared_dead(process, arguments[0], now))
        elif verb in {"beat", "register_worker"}:
            worker_id = arguments[0] if verb == "beat" else arguments[0].id
            self._judge.beat(process, worker_id, now)
        self.look(lambda: self._judge.committed(process, verb, _leases(verb, arguments), kinds))
        self._age()

    def _after(self, point: CrashPoint | None, process: Process) -> None:
        kernel = self._kernel
        match point:
            case CrashPoint.AFTER_COMMIT:
                self._kill(process)
            case CrashPoint.AT_AWAIT:
                process.steps_left = 1 + kernel.random.randrange(15)
            case CrashPoint.REPLY_LOST:
                raise self._cut(process)
            case CrashPoint.FROZEN:
                process.frozen_until = kernel.now + LEASE_SECONDS * (1.0 + 2.0 * kernel.random.random())
            case CrashPoint.FORGOTTEN:
                self._forget_in = kernel.random.randrange(4)
                self._age()
            case _:
                return

    def _kill(self, process: Process) -> None:
        self._kernel.kill(process)
        raise Crashed

    def _cut(self, process: Process) -> sqlite3.OperationalError:
        # Half of the cuts are over at once, so that the ledger's own repetition gets through.
        if self._kernel.random.random() < 0.5:
            process.line_is_down_until = self._kernel.now + self._kernel.random.random() * LEASE_SECONDS
        return _broken_line()

    def _age(self) -> None:
        if self._forget_in is None:
            return
        self._forget_in -= 1
        if self._forget_in < 0 and self._memory is not None:
            self._fail_over(self._memory)

    def _fail_over(self, memory: sqlite3.Connection) -> None:
        """The database's stand-in takes over without the last commits, and its operator says so."""
        self._forget_in = self._memory = None
        self._plan.has_failover = False
        self._note("database", "fails over to one that does not know the last commits")
        self._database.restore(memory)
        self._is_healing = True
        self._database.ledger.promoted()
        self._is_healing = False
        # Beats that it does not know save nobody.
        self._judge.lives = self._lives_of_then
        self.look(self.begin)
        self.on_failover()


def _leases(verb: str, arguments: tuple[Any, ...]) -> list[Lease]:
    if verb == "settle":
        return [settlement.lease for settlement in arguments[0]]
    return []


def _broken_line() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("the line broke")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error

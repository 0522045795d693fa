"""Keeps children running: starts them, starts them again when they die, stops them in order.

Everything happens on one thread, for two reasons: a child must be started by a
thread that outlives it (see leash.py), and so no state needs a lock.
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, TypeVar

from holdfast.cli.supervisor.backoff import SHORT_LIFE_SECONDS, Deaths
from holdfast.cli.supervisor.child import Child, ChildSpec, describe_end
from holdfast.cli.supervisor.notices import Died, Failing, Listener, Started

T = TypeVar("T")
LOOK_SECONDS: Final = 0.05
HURRY, FORCE = 2, 3
APART_SECONDS: Final = 0.5
"""Between two signals to a child: the kernel makes one of two that wait."""
KILL_SECONDS: Final = 5.0
"""How long a process may take to vanish after SIGKILL."""


@dataclass(slots=True)
class _Watched:
    spec: ChildSpec
    child: Child | None
    restarts: int = 0
    deaths: Deaths = field(default_factory=Deaths)
    start_at: float | None = None
    reload_asked_at: float | None = None


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """How a child is."""

    name: str
    pid: int | None
    """None while it is down."""
    restarts: int
    is_failing: bool
    """Whether it dies at once, again and again."""


class Supervisor:
    """Runs children until `stop`. Safe to be called from any thread."""

    def __init__(self, listener: Listener) -> None:
        """Prepare; the thread starts with the first child."""
        self._listener = listener
        self._watched: dict[str, _Watched] = {}
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # A daemon: should this program end without `stop`, the kernel ends the children with the thread.
        self._thread = threading.Thread(target=self._run, name="holdfast-supervisor", daemon=True)
        self._is_over = False

    def start(self, spec: ChildSpec) -> int:
        """Start a child and keep it running; return its number. Raises OSError if it cannot be started."""
        if self._thread.ident is None:
            self._thread.start()
        return self._ask(lambda: self._begin(spec))

    def restart(self, name: str) -> None:
        """End a child in good order and start it anew; its past is forgiven."""
        self._ask(lambda: self._reload(name))

    def status(self) -> list[ChildStatus]:
        """Tell how the children are."""
        return self._ask(lambda: [_status(watched) for watched in self._watched.values()])

    def stop(self, *, times_asked: Callable[[], int] = lambda: 1) -> None:
        """End all children, the highest rank first; by force where time is up.

        From the second time that it was asked they are hurried, from the third
        time on killed.
        """
        if self._thread.ident is None or self._is_over:
            return
        self._is_over = True
        done: Future[None] = Future()
        self._orders.put(lambda: self._end_all(times_asked, done))
        while self._thread.is_alive():
            self._thread.join(LOOK_SECONDS)  # in short pieces, so that signals are heard
        done.result(timeout=0)

    def _ask(self, order: Callable[[], T]) -> T:
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(order())
            except Exception as error:  # noqa: BLE001 -- carried over to the thread that asked
                answer.set_exception(error)

        self._orders.put(run)
        return answer.result()

    def _run(self) -> None:
        while not self._is_over or not self._orders.empty():
            try:
                self._orders.get(timeout=LOOK_SECONDS)()
            except queue.Empty:
                self._look()

    def _begin(self, spec: ChildSpec) -> int:
        child = Child(spec)
        self._watched[spec.name] = _Watched(spec, child)
        self._listener(Started(spec.name, child.pid, 0))
        return child.pid

    def _reload(self, name: str) -> None:
        watched = self._watched[name]
        watched.deaths = Deaths()
        watched.reload_asked_at = time.monotonic()
        if watched.child is None:
            watched.start_at = time.monotonic()
        else:
            watched.child.terminate()

    def _look(self) -> None:
        for watched in self._watched.values():
            if watched.child is None:
                self._start_when_due(watched)
            elif (exit_code := watched.child.exit_code()) is not None:
                self._note_death(watched, watched.child, exit_code)
            elif watched.reload_asked_at is not None and _waited(watched.reload_asked_at, watched.child):
                watched.child.kill()

    def _start_when_due(self, watched: _Watched) -> None:
        if watched.start_at is None or time.monotonic() < watched.start_at:
            return
        try:
            watched.child = Child(watched.spec)
        except OSError as error:  # no process, no memory: for now
            watched.deaths = watched.deaths.after(0.0)
            pause = watched.deaths.pause_seconds
            watched.start_at = time.monotonic() + pause
            self._listener(Died(watched.spec.name, f"cannot start: {error}", 0.0, pause))
            return
        watched.start_at = None
        watched.restarts += watched.reload_asked_at is None
        watched.reload_asked_at = None
        if not watched.deaths.is_failing:  # it is told when it fails, not each time that it tries
            self._listener(Started(watched.spec.name, watched.child.pid, watched.restarts))

    def _note_death(self, watched: _Watched, child: Child, exit_code: int) -> None:
        watched.child = None
        if watched.reload_asked_at is not None:
            watched.start_at = time.monotonic()
            return
        watched.deaths = watched.deaths.after(child.life_seconds)
        pause = watched.deaths.pause_seconds
        watched.start_at = time.monotonic() + pause
        how = describe_end(exit_code)
        if watched.deaths.is_worth_telling:
            spec, times = watched.spec, watched.deaths.short_in_a_row
            self._listener(Failing(spec.name, how, times, child.last_lines(), spec.log_path))
        elif not watched.deaths.is_failing:
            self._listener(Died(watched.spec.name, how, child.life_seconds, pause))

    def _end_all(self, times_asked: Callable[[], int], done: "Future[None]") -> None:
        try:
            for rank in sorted({watched.spec.rank for watched in self._watched.values()}, reverse=True):
                _end(
                    [
                        watched.child
                        for watched in self._watched.values()
                        if watched.spec.rank == rank and watched.child is not None
                    ],
                    times_asked,
                )
            done.set_result(None)
        except Exception as error:  # noqa: BLE001 -- carried over to the thread that asked
            done.set_exception(error)


def _end(children: list[Child], times_asked: Callable[[], int]) -> None:
    asked_at, hurried_at = time.monotonic(), 0.0
    for child in children:
        child.terminate()
    pause = threading.Event()
    while alive := [child for child in children if child.exit_code() is None]:
        times = times_asked()
        if times >= HURRY and not hurried_at and time.monotonic() >= asked_at + APART_SECONDS:
            hurried_at = time.monotonic()
            for child in alive:
                if child.spec.hurry_seconds:
                    child.terminate()
        for child in alive:
            is_late = hurried_at and time.monotonic() >= hurried_at + child.spec.hurry_seconds
            if times >= FORCE or is_late or _waited(asked_at, child):
                child.kill()
        if all(_waited(asked_at + KILL_SECONDS, child) for child in alive):
            return  # in the kernel's hands: nothing more can be done from here
        pause.wait(LOOK_SECONDS / 2)


def _waited(asked_at: float, child: Child) -> bool:
    return time.monotonic() > asked_at + child.spec.stop_seconds


def _status(watched: _Watched) -> ChildStatus:
    child = watched.child
    return ChildStatus(
        name=watched.spec.name,
        pid=child.pid if child is not None else None,
        restarts=watched.restarts,
        is_failing=watched.deaths.is_failing and (child is None or child.life_seconds < SHORT_LIFE_SECONDS),
    )

"""The platform on one machine: embedded broker, ledger, workers; up or down as a whole."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from holdfast.cli.errors import Interrupted, PartFailed
from holdfast.cli.supervisor.lock import PlatformLock, prepare, unusable
from holdfast.cli.supervisor.notices import Failing, Listener, Notice
from holdfast.cli.supervisor.plan import (
    FlowerAccess,
    Plan,
    flower_access,
    flower_spec,
    worker_specs,
)
from holdfast.cli.supervisor.redis import NAME as REDIS
from holdfast.cli.supervisor.redis import EmbeddedRedis
from holdfast.cli.supervisor.signals import StopSignals
from holdfast.cli.supervisor.supervisor import ChildStatus, Supervisor
from holdfast.ledger import Ledger, connect
from holdfast.ledger.upgrade import migrate
from holdfast.settings import Settings, embedded
from holdfast.workers.census import parent_of

READY_SECONDS: Final = 60.0
"""How long the first worker may take to report for duty."""


class Platform:
    """Starts what the settings ask for, and stops all of it. Use `start` once, `stop` always."""

    def __init__(self, settings: Settings, plan: Plan, signals: StopSignals, listener: Listener) -> None:
        """Prepare; nothing is touched before `start`."""
        self._settings = settings
        self._plan = plan
        self._signals = signals
        self._listener = listener
        self._last_failing: dict[str, Failing] = {}
        self._supervisor = Supervisor(self._note)
        self._cleanup = ExitStack()
        self.log_dir: Path = settings.data_path / "logs"
        self.redis: EmbeddedRedis | None = None
        self.flower: FlowerAccess | None = None

    def start(self) -> Ledger:
        """Start the parts in order; the ledger is closed by `stop`.

        Workers are started, not waited for: see `wait_for_worker`. Raises
        PlatformError; what was started is then stopped again.
        """
        settings = self._settings
        self._take_folder()
        if settings.has_embedded_broker:
            self.redis = self._start_redis()
        config = settings.ledger_config("holdfast-up")
        migrate(config)
        ledger = connect(config)
        self._cleanup.callback(ledger.close)
        for spec in worker_specs(settings, self._plan, self.log_dir):
            self._supervisor.start(spec)
        if self._plan.flower:
            self.flower = flower_access(settings)
            self._supervisor.start(flower_spec(settings, self._plan, self.log_dir, self.flower))
        return ledger

    def wait_for_worker(self, ledger: Ledger) -> None:
        """Wait until a worker reports for duty. Raises PartFailed with its last words, or Interrupted."""
        ends_at = time.monotonic() + READY_SECONDS
        while not self.workers_ready(ledger):
            failing = next((found for name, found in self._last_failing.items() if name != REDIS), None)
            if failing is not None:
                raise failed(failing)
            if time.monotonic() > ends_at:
                raise PartFailed(
                    detail=f"no worker reported for duty within {READY_SECONDS:g} s",
                    hint=f"Its log is in {self.log_dir}.",
                )
            if self._signals.wait(0.05):
                raise Interrupted

    def workers_ready(self, ledger: Ledger) -> int:
        """Tell how many of our workers serve."""
        ours = {child.pid for child in self.children() if child.name.startswith("worker")}
        rows = ledger.workers()
        # Where the leash has to stay (see leash.py), its number is not the worker's.
        if sys.platform != "linux":
            return len(rows)
        # What we started is the worker, or its companion.
        return sum(row.pid in ours or parent_of(row.pid) in ours for row in rows)

    def children(self) -> list[ChildStatus]:
        """Tell how the parts are."""
        return self._supervisor.status()

    def restart_workers(self) -> None:
        """End every worker in good order and start it anew, with the code as it is now."""
        for child in self.children():
            if child.name.startswith("worker"):
                self._last_failing.pop(child.name, None)
                self._supervisor.restart(child.name)

    def stop(self) -> None:
        """Stop everything, workers first; what runs is handed back. May be called in any state, and twice.

        At a second signal workers hand back at once what still runs, at a third
        one they are killed: its jobs are taken up again at the next start.
        """
        try:
            self._supervisor.stop(times_asked=lambda: self._signals.heard)
        finally:
            self._cleanup.close()

    def _take_folder(self) -> None:
        lock = PlatformLock(self._settings.data_path)
        lock.take()
        self._cleanup.callback(lock.give_back)
        try:
            self.log_dir.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise unusable(self.log_dir, error) from error

    def _start_redis(self) -> EmbeddedRedis:
        folder = prepare(self._settings.data_path)
        server = EmbeddedRedis(folder, self.log_dir / "redis.log")
        self._supervisor.start(server.spec())
        try:
            server.wait_until_ready(lambda: REDIS in self._last_failing, self._signals.wait)
        except PartFailed:
            if (failing := self._last_failing.get(REDIS)) is not None:
                raise failed(failing) from None
            raise
        self._cleanup.callback(embedded.withdraw, folder)
        embedded.publish(folder, server.url)
        return server

    def _note(self, notice: Notice) -> None:
        if isinstance(notice, Failing):
            self._last_failing[notice.name] = notice
        self._listener(notice)


def failed(failing: Failing) -> PartFailed:
    """Turn a failing child's last words into an error."""
    return PartFailed(detail=last_words(failing), hint=f"Its whole log is {failing.log_path}.")


def last_words(failing: Failing) -> str:
    """Say which child dies, how, and what it wrote at the end."""
    said = "".join(f"\n    {line}" for line in failing.lines) or " without a word"
    return f"{failing.name} {failing.how}, {failing.times} times in a row:{said}"

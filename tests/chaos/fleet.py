"""Workers as a platform runs them: what ends is started again, by a tiny supervisor and never by hand."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping

from holdfast.tests.support.processes import ServerFailed
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer

LOOK_SECONDS = 0.05
LEAVE_SECONDS = 40.0
READY_SECONDS = 90.0


class RestartedWorker(WorkerServer):
    """A worker that may be started again: its log is of all starts, so its probes say when it is ready."""

    # A machine on which much else runs may need long; giving up would only begin the start anew.
    start_timeout_seconds = READY_SECONDS

    def is_ready(self) -> bool:
        """Ask the heartbeat file, which names the process."""
        return self._has_started()


class Member:
    """One place in the fleet: a worker program, and its supervisor on a thread."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.starts = 0
        self.exit_codes: list[int] = []
        self._server = RestartedWorker(environment)
        self._ending = threading.Event()
        # Held while the process is changed: a kill and a restart never meet half-way.
        self._hands = threading.Lock()
        self._thread = threading.Thread(target=self._supervise, daemon=True)

    def start(self) -> None:
        """Begin to supervise; `Fleet.until_ready` waits for the worker itself."""
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Tell whether the worker of now has come up."""
        return self._server.is_running and not self._hands.locked() and self.starts > 0

    @property
    def pid(self) -> int:
        """The program that was started: the companion."""
        return self._server.pid

    @property
    def worker_pid(self) -> int:
        """The process that runs handlers."""
        return self._server.worker_pid

    @property
    def log(self) -> str:
        """What its workers have written, all starts in one."""
        return self._server.log

    def kill(self) -> None:
        """End worker and companion at once, as a power cut does; the supervisor starts another."""
        with self._hands:
            self._server.kill()

    def kill_worker(self) -> None:
        """SIGKILL to the process that runs handlers alone; its companion sees it die."""
        os.kill(self.worker_pid, signal.SIGKILL)

    def terminate(self) -> int:
        """Ask it to leave (SIGTERM), wait for that, and return the exit code; another one is started."""
        with self._hands:
            leash = self._server._held  # noqa: SLF001 -- its exit code is that of the worker
            self._server.send_signal(signal.SIGTERM)
            until(lambda: leash.poll() is not None, timeout_seconds=LEAVE_SECONDS, what="a worker to leave")
        self.exit_codes.append(leash.returncode)
        return leash.returncode

    def pause(self) -> None:
        """Freeze worker and companion."""
        self._server.pause()

    def resume(self) -> None:
        """Let them go on."""
        self._server.resume()

    def close(self) -> None:
        """End the supervisor, then the worker."""
        self._ending.set()
        while self._thread.is_alive():
            self._server.kill()  # a start under way gives up
            self._thread.join(LOOK_SECONDS)
        self._server.kill()
        self._server.close()

    def _supervise(self) -> None:
        while not self._ending.is_set():
            if not self._server.is_running:
                self._start_once()
            self._ending.wait(LOOK_SECONDS)

    def _start_once(self) -> None:
        with self._hands:
            self._server.stop()  # lets go of the leash of the one that ended
            try:
                self._server.start()
                self.starts += 1
            except ServerFailed:
                self._ending.wait(1.0)  # as a platform backs off


class Fleet:
    """All members."""

    def __init__(self) -> None:
        self._members: list[Member] = []

    def add(self, environment: Mapping[str, str]) -> Member:
        """Start one more place; `until_ready` waits for it."""
        member = Member(environment)
        self._members.append(member)
        member.start()
        return member

    def until_ready(self) -> None:
        """Wait until every worker has come up."""
        until(
            lambda: all(member.is_ready for member in self), timeout_seconds=READY_SECONDS, what="the workers"
        )

    def until_one_is_ready(self) -> None:
        """Wait until some worker has come up."""
        until(lambda: any(member.is_ready for member in self), timeout_seconds=READY_SECONDS, what="a worker")

    @property
    def restarts(self) -> int:
        """How often the supervisors had to start a worker again."""
        return sum(member.starts - 1 for member in self if member.starts)

    def close(self) -> None:
        """End everything."""
        for member in self:
            member.close()

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members)

    def __getitem__(self, number: int) -> Member:
        return self._members[number]

    def __len__(self) -> int:
        return len(self._members)

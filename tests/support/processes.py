"""A real server as a child of the test run: started, killed, frozen, thawed, always cleaned up.

Each server has a folder of its own, in memory where the system offers that (it makes
databases ten times as fast), listens on the loopback address only, and hangs on a
leash (see ``leash.py``), so that nothing survives the test run, however that ends.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil
import pytest

from holdfast.tests.support.waiting import until

LOOPBACK = "127.0.0.1"
LEASH = Path(__file__).with_name("leash.py")
# Below the range from which the kernel takes ports for outgoing connections: a client that keeps
# knocking while its server is down would otherwise, one day, be given that very port and answer itself.
FIRST_PORT, LAST_PORT = 20_000, 32_000
ENOUGH_BYTES = 2 * 1024**3
UNPRIVILEGED_USERS = ("postgres", "redis", "nobody")


class ServerFailed(AssertionError):
    """A server ended or did not become ready; the message carries the end of its log."""


class Server(ABC):
    """One real server; use it as a context manager or call ``start`` and ``close``.

    The port and the folder stay the same over ``stop``, ``kill`` and ``restart``,
    so that clients find it again with what it had saved.
    """

    name = "server"
    start_timeout_seconds = 20.0
    stop_timeout_seconds = 10.0

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"holdfast-{self.name}-", dir=_memory_folder()))
        self.log_path = self.folder / "log"
        self._leash: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    @abstractmethod
    def url(self) -> str:
        """The address that a client connects to, with credentials."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program and its arguments; called at each start."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether a client is served; may raise while it is not."""

    def environment(self) -> Mapping[str, str]:
        """The variables that the program gets on top of ours."""
        return {}

    def user(self) -> str | None:
        """The user to run as, for programs that refuse to run as root; None: ours."""
        return None

    def start(self) -> Self:
        """Start and wait until a client is served; raise ServerFailed with the log if that fails."""
        self.launch()
        self._wait_until_ready()
        return self

    def launch(self) -> Self:
        """Start, and wait for nothing."""
        user = self.user()
        self._leash = subprocess.Popen(
            [
                sys.executable, "-I", "-S", str(LEASH), str(self.log_path),
                *(["--user", user] if user else []), "--", *self.command(),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.folder,
            # A signal to our whole group must not end the leash before it has ended the server.
            start_new_session=True,
            env={**os.environ, **self.environment()},
        )  # fmt: skip
        answer = self._leash.stdout.readline() if self._leash.stdout else b""
        if not answer.strip().isdigit():
            self._let_go()
            raise ServerFailed(f"{self.name} could not be executed: {self.command()[0]}")
        self._pid = int(answer)
        return self

    def stop(self) -> None:
        """End it in good order (SIGTERM), and by force when it takes too long; nothing if it is down."""
        if self.is_running:
            self.resume()  # a frozen process would not hear the request
            with contextlib.suppress(ProcessLookupError):
                self.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._held.wait(self.stop_timeout_seconds)
        self._let_go()

    stop_signal = signal.SIGTERM

    def end(self, timeout_seconds: float = 60.0) -> int:
        """Wait until it has ended by itself, and return its exit code (negative: by a signal)."""
        return self._held.wait(timeout_seconds)

    def kill(self) -> None:
        """End it and all its children at once with SIGKILL, as a crash or a power cut does."""
        self._let_go()

    def restart(self) -> None:
        """Stop in good order and start again on the same port and folder."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it and its children (SIGSTOP): connections stay open, nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after ``pause``."""
        self._signal_all(signal.SIGCONT)

    def send_signal(self, number: int) -> None:
        """Send a signal to the server's main process."""
        os.kill(self.pid, number)

    @property
    def pid(self) -> int:
        """The number of the server's main process."""
        return self._pid

    @property
    def is_running(self) -> bool:
        """Tell whether the server's process is there, ready or not."""
        return self._leash is not None and self._leash.poll() is None

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def close(self) -> None:
        """Stop, and remove the folder; may be called twice."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def _held(self) -> subprocess.Popen[bytes]:
        if self._leash is None:
            raise ServerFailed(f"{self.name} was never started")
        return self._leash

    def _wait_until_ready(self) -> None:
        refusal: Exception | None = None

        def answers_or_ended() -> bool:
            nonlocal refusal
            if not self.is_running:
                return True
            try:
                return self.is_ready()
            except Exception as error:  # noqa: BLE001  a server that starts refuses in many ways; the last is told
                refusal = error
                return False

        try:
            until(answers_or_ended, timeout_seconds=self.start_timeout_seconds)
        except AssertionError as error:
            self._let_go()
            raise ServerFailed(f"{self.name} never became ready: {refusal!r}\n{self.log[-3000:]}") from error
        if not self.is_running:
            self._let_go()
            raise ServerFailed(f"{self.name} ended while starting:\n{self.log[-3000:]}")

    def _let_go(self) -> None:
        if self._leash is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self._leash.communicate(b"x")
        self._leash = None

    def _signal_all(self, number: int) -> None:
        main = psutil.Process(self._held.pid)
        for process in main.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def _memory_folder() -> Path | None:
    """Find a folder in memory with room to spare, unless TMPDIR says where to work."""
    folder = Path("/dev/shm")  # noqa: S108  every server makes a private folder below it
    if "TMPDIR" in os.environ or not os.access(folder, os.W_OK):
        return None
    return folder if shutil.disk_usage(folder).free > ENOUGH_BYTES else None


def free_port() -> int:
    """Find a port of the loopback address that nothing uses now."""
    return until(_try_port, what="a free port")


def _try_port() -> int:
    port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return 0
    return port


def require(found: str | Path | None, what: str) -> str:
    """Give the path back, or leave the test out and say what is missing.

    With HOLDFAST_REQUIRE_ALL=1 the test fails instead, here and not only in the summary.
    """
    if found:
        return str(found)
    message = f"needs {what}"
    if os.environ.get("HOLDFAST_REQUIRE_ALL") == "1":
        pytest.fail(f"{message}, and HOLDFAST_REQUIRE_ALL=1", pytrace=False)
    pytest.skip(message)


def unprivileged_user() -> str | None:
    """Name a user for programs that refuse to run as root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return require(None, f"one of the users {', '.join(UNPRIVILEGED_USERS)} (we are root)")

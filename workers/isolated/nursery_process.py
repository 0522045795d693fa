"""The nursery process: loads what handlers need once, then forks a child whenever the worker asks.

It has one thread and opens no connection, so a fork of it is sound. It ends,
and takes its children along, when the worker's end of the line is closed.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, NoReturn

from holdfast.workers.companion.last_words import LastWords
from holdfast.workers.isolated.child import run_child
from holdfast.workers.stop_requests import STOPPING, forget_in_forks, hear_with

LONGEST_REQUEST: Final = 256_000
PR_SET_PDEATHSIG: Final = 1
_KILOBYTES_IN_MB: Final = 1000.0
_APPLICATION: Final = "holdfast.workers.app"


def main() -> None:
    """Serve the worker at the other end of the descriptor that was named."""
    hear_with(ignore)
    # The worker held them back for us until here.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    control = socket.socket(fileno=int(sys.argv[1]))
    hello = json.loads(control.recv(LONGEST_REQUEST))
    # The user's modules lie where the worker found them.
    sys.path[:] = hello["path"]
    app = importlib.import_module(_APPLICATION).app
    app.set_up_logging()
    control.send(json.dumps({"ready": os.getpid()}).encode())
    _Nursery(control, app).serve()


def ignore(_number: int, _frame: FrameType | None) -> None:
    """Hear a request to stop and do nothing: the worker decides when we end, it drains first.

    A function, since the programs that handlers start would inherit `SIG_IGN`.
    """


@dataclass(slots=True)
class _Child:
    number: int
    last_words: LastWords


class _Nursery:
    def __init__(self, control: socket.socket, app: Any) -> None:
        self._control = control
        self._app = app
        self._children: dict[int, _Child] = {}
        self._libc = ctypes.CDLL(None)

    def serve(self) -> None:
        wakeup, writer = socket.socketpair()
        writer.settimeout(0)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        # Once more: a user's module may have installed handlers of its own.
        hear_with(ignore)
        # What children have in common stays one copy in memory.
        gc.collect()
        gc.freeze()
        while True:
            ready, _, _ = select.select([self._control, wakeup], [], [])
            if wakeup in ready:
                wakeup.recv(4096)
            self._reap()
            if self._control in ready and not self._hear():
                self._end()

    def _hear(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, LONGEST_REQUEST, 1)
        except ConnectionError:
            return False
        if not data:
            return False
        request = json.loads(data)
        if "kill" in request:
            self._kill(request["kill"])
        elif descriptors:
            self._bear(request, descriptors[0])
        else:
            # The kernel drops what it cannot give a number to.
            self._refuse(request["child"], "no descriptor is left")
        return True

    def _bear(self, request: dict[str, Any], descriptor: int) -> None:
        parent = os.getpid()
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, descriptor)
            try:
                last_words = LastWords()
                undo.callback(last_words.close)
                pid = os.fork()
            except OSError as error:
                # Of processes, descriptors or memory there is none left: the other children go on.
                self._refuse(request["child"], str(error))
                return
            undo.pop_all()
        if pid == 0:
            self._become(request, descriptor, last_words, parent)
        os.close(descriptor)
        self._children[pid] = _Child(request["child"], last_words)

    def _refuse(self, number: int, why: str) -> None:
        self._report({"child": number, "failed": why})

    def _become(
        self, request: dict[str, Any], descriptor: int, last_words: LastWords, parent: int
    ) -> NoReturn:
        if sys.platform == "linux":
            self._libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        # A group of its own: what the handler starts ends with it.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        forget_in_forks(ignore)
        self._control.close()
        run_child(
            self._app,
            socket.socket(fileno=descriptor),
            last_words=last_words.descriptor,
            memory_mb=request["memory_mb"],
        )

    def _kill(self, number: int) -> None:
        for pid, child in self._children.items():
            if child.number == number:
                _end_child(pid)

    def _reap(self) -> None:
        while self._children:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            child = self._children.pop(pid, None)
            if child is None:
                # A process that a user's module started when it was loaded.
                continue
            _end_group(pid)
            report = {
                "child": child.number,
                "status": status,
                "peak_mb": usage.ru_maxrss / _KILOBYTES_IN_MB,
                "trace": child.last_words.read(),
            }
            child.last_words.close()
            self._report(report)

    def _report(self, report: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):
            self._control.send(json.dumps(report).encode())

    def _end(self) -> NoReturn:
        for pid in self._children:
            _end_child(pid)
        os._exit(0)


def _end_child(pid: int) -> None:
    """End a child that was not reaped yet, and what it started."""
    _end_group(pid)
    # A child that was born this moment may not have its group yet.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _end_group(pid: int) -> None:
    """End what a child started. Of one that was reaped the number itself may be somebody else's by now."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)

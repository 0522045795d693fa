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
from typing import Any, Final, NoReturn

from holdfast.workers.companion.last_words import LastWords
from holdfast.workers.isolated.child import run_child

LONGEST_REQUEST: Final = 256_000
PR_SET_PDEATHSIG: Final = 1
_KILOBYTES_IN_MB: Final = 1000.0
_APPLICATION: Final = "holdfast.workers.app"


def main() -> None:
    """Serve the worker at the other end of the descriptor that was named."""
    control = socket.socket(fileno=int(sys.argv[1]))
    hello = json.loads(control.recv(LONGEST_REQUEST))
    # The user's modules lie where the worker found them.
    sys.path[:] = hello["path"]
    app = importlib.import_module(_APPLICATION).app
    app.set_up_logging()
    control.send(json.dumps({"ready": os.getpid()}).encode())
    _Nursery(control, app).serve()


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
        for number in (signal.SIGINT, signal.SIGTERM):
            # The worker decides when we end: it drains first.
            signal.signal(number, signal.SIG_IGN)
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
        return True

    def _bear(self, request: dict[str, Any], descriptor: int) -> None:
        number, last_words, parent = request["child"], LastWords(), os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(request, descriptor, last_words, parent)
        os.close(descriptor)
        self._children[pid] = _Child(number, last_words)

    def _become(
        self, request: dict[str, Any], descriptor: int, last_words: LastWords, parent: int
    ) -> NoReturn:
        if sys.platform == "linux":
            self._libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
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
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._children:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            child = self._children.pop(pid, None)
            if child is None:
                # A process that a user's module started when it was loaded.
                continue
            report = {
                "child": child.number,
                "status": status,
                "peak_mb": usage.ru_maxrss / _KILOBYTES_IN_MB,
                "trace": child.last_words.read(),
            }
            child.last_words.close()
            with contextlib.suppress(ConnectionError):
                self._control.send(json.dumps(report).encode())

    def _end(self) -> NoReturn:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)

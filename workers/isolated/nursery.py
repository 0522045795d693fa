"""The worker's end of the nursery: asks for children, and hears how each of them died."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

from holdfast.workers.companion.scene import Death, death_of
from holdfast.workers.isolated import wire
from holdfast.workers.isolated.child import FAILED
from holdfast.workers.stop_requests import STOPPING

START_SECONDS: Final = 60.0
"""How long loading the user's modules may take."""
_PROGRAM: Final = "holdfast.workers.isolated"
CHILD_SECONDS: Final = 30.0
"""How long a child may take to connect to the ledger."""
KILL_SECONDS: Final = 5.0
"""How long a death may take that was ordered, before the nursery process is ended with all it has."""
_LONGEST_REPORT: Final = 256_000
_LAST_WORDS_SECONDS: Final = 1.0


class NurseryFailed(Exception):
    """No child can be had."""


class Child:
    """One isolated process, as the worker sees it."""

    def __init__(self, number: int) -> None:
        """Name it; it is not there yet."""
        self.number = number
        self.pid = 0
        """0 until it serves."""
        self.refusal = ""
        """Why it could not serve: none of its jobs did that."""
        self.ready = asyncio.Event()
        """It serves, or is dead."""
        loop = asyncio.get_running_loop()
        self.death: asyncio.Future[Death] = loop.create_future()
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None

    async def connect(self, line: socket.socket, hear: Callable[[wire.Message], None]) -> None:
        """Speak over this line; `hear` gets what the child says."""
        reader, self._writer = await asyncio.open_unix_connection(sock=line)
        self._listening = asyncio.get_running_loop().create_task(self._listen(reader, hear))

    def send(self, message: wire.Message) -> None:
        """Tell the child something; one that is dead does not hear it."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(wire.frame(message))

    def hang_up(self) -> None:
        """Let it end."""
        if self._writer is not None:
            self._writer.close()

    async def bury(self, death: Death) -> None:
        """Note how it died, when everything that it said was heard."""
        if self._listening is not None:
            # What it started may hold its end of the line open.
            await asyncio.wait({self._listening}, timeout=_LAST_WORDS_SECONDS)
            self._listening.cancel()
        self.hang_up()
        if not self.death.done():
            self.death.set_result(death)
        self.ready.set()

    async def _listen(self, reader: asyncio.StreamReader, hear: Callable[[wire.Message], None]) -> None:
        while (message := await wire.read(reader)) is not None:
            if "ready" in message:
                self.pid = message["ready"]
                self.ready.set()
            elif "refused" in message:
                self.refusal = message["refused"]
            else:
                hear(message)


class Nursery:
    """Starts the nursery process when the first child is wanted, and again after it ended. On one loop."""

    def __init__(self, *, was_out_of_memory: Callable[[], bool], on_lost: Callable[[], object]) -> None:
        """Prepare; `was_out_of_memory` tells whether the kernel has just killed for want of memory.

        `on_lost` hears that the nursery process has ended, and its children with it.
        """
        self._was_out_of_memory = was_out_of_memory
        self._on_lost = on_lost
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready: asyncio.Future[None] | None = None
        self._children: dict[int, Child] = {}
        self._burials: set[asyncio.Task[None]] = set()
        self._number = 0

    async def child(self, hear: Callable[[wire.Message], None], *, memory_mb: int | None) -> Child:
        """Return a new child. Raises NurseryFailed: the nursery process does not start; try again later."""
        control = await self._started()
        self._number += 1
        child = self._children[self._number] = Child(self._number)
        try:
            await self._bear(control, child, hear, memory_mb)
        except OSError as error:
            self._children.pop(child.number, None)
            raise NurseryFailed(f"no process could be made: {error}") from error
        asyncio.get_running_loop().call_later(CHILD_SECONDS, self._expect, child)
        return child

    async def _bear(
        self,
        control: socket.socket,
        child: Child,
        hear: Callable[[wire.Message], None],
        memory_mb: int | None,
    ) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                request = json.dumps({"child": child.number, "memory_mb": memory_mb}).encode()
                socket.send_fds(control, [request], [theirs.fileno()])
            await child.connect(ours, hear)
        except OSError:
            # A child that was made all the same hears nobody, and ends.
            ours.close()
            raise

    def kill(self, child: Child) -> None:
        """End a child at once, whatever it does."""
        if self._control is not None and not child.death.done():
            with contextlib.suppress(OSError):
                self._control.send(json.dumps({"kill": child.number}).encode())
            asyncio.get_running_loop().call_later(KILL_SECONDS, self._insist, child)

    def _expect(self, child: Child) -> None:
        if child.number in self._children and not child.ready.is_set():
            child.refusal = f"it was not ready within {CHILD_SECONDS:g} s"
            self.kill(child)

    def _insist(self, child: Child) -> None:
        # Frozen, or our word was lost.
        if child.number in self._children:
            self._lose("did not answer")

    def close(self) -> None:
        """End the nursery process and what is left of its children. May be called twice."""
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None

    async def _started(self) -> socket.socket:
        if self._control is None:
            self._start()
        control, ready = self._control, self._ready
        if control is None or ready is None:
            raise NurseryFailed("the nursery process could not be started")
        try:
            await asyncio.wait_for(asyncio.shield(ready), START_SECONDS)
        except TimeoutError as error:
            self._lose("was not ready in time")
            raise NurseryFailed(f"the nursery process was not ready within {START_SECONDS:g} s") from error
        return control

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise NurseryFailed(f"the nursery process could not be started: {error}") from error
        ours.settimeout(0)
        command = [sys.executable, "-P", "-m", _PROGRAM, str(theirs.fileno())]
        # A signal to all our processes must not end it before it can hear: it lets them through then.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and program, no shell
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # It ends its children's groups when we are gone: nobody may end it first, with our group.
                start_new_session=True,
            )
            ours.send(json.dumps({"path": sys.path}).encode())
        except OSError as error:
            ours.close()
            raise NurseryFailed(f"the nursery process could not be started: {error}") from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self._control = ours
        self._ready = loop.create_future()
        loop.add_reader(ours.fileno(), self._hear)

    def _hear(self) -> None:
        if self._control is None:
            return
        try:
            data = self._control.recv(_LONGEST_REPORT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose("ended")
            return
        report = json.loads(data)
        if "ready" in report:
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
            return
        child = self._children.pop(report["child"], None)
        if child is None:
            return
        if "failed" in report:
            child.refusal = report["failed"]
            self._bury(child, Death("no process", peak_mb=0.0, is_proof=False))
        else:
            self._bury(child, self._death(report, child))

    def _death(self, report: dict[str, Any], child: Child) -> Death:
        status = report["status"]
        has_failed = os.WIFEXITED(status) and os.waitstatus_to_exitcode(status) == FAILED
        return death_of(
            status,
            report["peak_mb"],
            trace=report["trace"],
            is_out_of_memory=self._was_out_of_memory(),
            is_leaving=has_failed or not child.pid,
        )

    def _lose(self, why: str) -> None:
        self.close()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(NurseryFailed(f"the nursery process {why} before it was ready"))
            # Somebody may have stopped waiting.
            self._ready.exception()
        children, self._children = self._children, {}
        for child in children.values():
            if child.pid:
                # They end with their parent; what they started does not. First, while the number is theirs.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.pid, signal.SIGKILL)
            else:
                child.refusal = f"the nursery process {why}"
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
        for child in children.values():
            self._bury(child, Death(f"the nursery process {why}", peak_mb=0.0, is_proof=False))
        self._on_lost()

    def _bury(self, child: Child, death: Death) -> None:
        burial = asyncio.get_running_loop().create_task(child.bury(death))
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)

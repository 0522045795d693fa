"""An HTTP upstream that falls ill in the ways that real ones do, and writes down every call."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast.tests.support.processes import LOOPBACK

ANSWER_SECONDS: Final = 0.05
_OK: Final = 200
_TOO_MANY: Final = 429
_HANGS: Final = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """How it is for a while."""

    name: str
    """`well`, `503`, `hangs`, `429`."""
    seconds: float


@dataclass(slots=True)
class Upstream:
    """Answers as the script says, from `begin` on; the last stretch lasts. Well, it has a limit of calls.

    What comes beyond its limit, so many a second, is answered 429 without a word about when to come again.
    """

    script: Sequence[Stretch]
    limit: int
    calls: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    """When each call came, in seconds since the beginning, and the status that it got; 0: none yet."""
    port: int = 0
    _began: float = 0.0
    _tokens: float = 0.0
    _filled_at: float = 0.0

    def begin(self) -> None:
        """Start the script."""
        self._began = time.monotonic()
        self._tokens, self._filled_at = 1.0, 0.0

    @property
    def seconds(self) -> float:
        """How long ago it began."""
        return time.monotonic() - self._began

    def stretch(self, at: float) -> Stretch:
        """Return how it is at a time."""
        for one in self.script[:-1]:
            if at < one.seconds:
                return one
            at -= one.seconds
        return self.script[-1]

    def wasted(self, until: float) -> int:
        """Count the calls that got no answer, and came before."""
        return sum(status != _OK for at, status in self.calls if at < until)

    def busiest_second(self, since: float) -> int:
        """Return the most calls within any second from a time on."""
        times = sorted(at for at, _ in self.calls if at >= since)
        return max((sum(at <= other < at + 1.0 for other in times) for at in times), default=0)

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Answer until told to stop."""
        server = await asyncio.start_server(self._answer, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await stop.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            at = self.seconds
            how = self.stretch(at).name
            place = len(self.calls)
            self.calls.append((at, _HANGS))
            if how == "hangs":
                await reader.read()  # until the caller gives up
            else:
                status, headers = self._status(how, at)
                self.calls[place] = (at, status)
                await asyncio.sleep(ANSWER_SECONDS)
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{headers}\r\n".encode())
                await writer.drain()
        writer.close()

    def _status(self, how: str, at: float) -> tuple[int, str]:
        if how == "well":
            self._tokens = min(self._tokens + (at - self._filled_at) * self.limit, self.limit / 4)
            self._filled_at = at
            if self._tokens < 1.0:
                return _TOO_MANY, ""
            self._tokens -= 1.0
            return _OK, ""
        return int(how), "Retry-After: 2\r\n" if how == str(_TOO_MANY) else ""


@contextlib.contextmanager
def serving(script: Sequence[Stretch], *, limit: int) -> Generator[Upstream]:
    """Serve from a thread for the length of a block."""
    upstream, ready = Upstream(script, limit), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        loop.run_until_complete(upstream.serve(ready, stop))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)

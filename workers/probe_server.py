"""A very small HTTP server for probes and metrics, hard to block and hard to exhaust.

It runs an event loop of its own on a thread of its own, so that it answers while the worker's loop
is stuck (and can say so), while the worker drains, and while any number of clients dawdle. Answers
that may take long (`/health`, `/metrics`) are made on threads, each by at most one at a time.
Plain GET and HEAD, one request per connection; no bodies, no files, no version of anything.
"""

import asyncio
import contextlib
import logging
import socket
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

REQUEST_SECONDS: Final = 2.0
"""A client that has not sent its request by then is cut off."""
ANSWER_SECONDS: Final = 15.0
"""Longest time to make an answer and to get rid of it."""
LARGEST_REQUEST_BYTES: Final = 8192
MOST_CONNECTIONS: Final = 64
"""One more, and the oldest connection is closed: whoever dawdles goes first."""
START_SECONDS: Final = 5.0

JSON: Final = "application/json"

_HEADERS: Final = (
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Connection: close\r\n"
)
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: int
    content_type: str
    body: bytes


Route = Callable[[], Awaitable[Page]]


class ProbeServer:
    """Serves fixed paths. `start`, `stop`; both may be called twice, and `stop` before `start`."""

    def __init__(self, routes: Mapping[str, Route], *, host: str, port: int) -> None:
        """Listen on `host`; port 0 lets the system choose, and so does one that is taken already."""
        self._routes = routes
        self._host = host
        self._wanted_port = port
        self._connections: OrderedDict[asyncio.Task[None], None] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self.port: int | None = None
        """Where it listens; None while it does not."""

    def start(self) -> None:
        """Listen. Raises OSError if the address is not ours."""
        if self._thread is not None:
            return
        listener = self._listen()
        self._thread = threading.Thread(
            target=self._run, args=(listener,), name="holdfast-probes", daemon=True
        )
        self._thread.start()
        self._started.wait(START_SECONDS)
        self.port = listener.getsockname()[1]

    def stop(self) -> None:
        """Close the listener and every connection."""
        thread, self._thread, self.port = self._thread, None, None
        if thread is None:
            return
        if self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join(timeout=START_SECONDS)
        self._started.clear()

    def _listen(self) -> socket.socket:
        try:
            return _bound(self._host, self._wanted_port)
        except OSError as error:
            if self._wanted_port == 0:
                raise
            listener = _bound(self._host, 0)
            _log.warning(
                "port %d for probes cannot be used (%s); using %d",
                self._wanted_port,
                error,
                listener.getsockname()[1],
            )
            return listener

    def _run(self, listener: socket.socket) -> None:
        asyncio.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, sock=listener, limit=LARGEST_REQUEST_BYTES)
        self._started.set()
        async with server:
            await self._stopping.wait()
        for attending in tuple(self._connections):
            attending.cancel()
        await asyncio.sleep(0.01)  # lets the closed connections leave the loop in order

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine, so that the oldest connection can go before this one costs anything.
        if len(self._connections) >= MOST_CONNECTIONS:
            oldest, _ = self._connections.popitem(last=False)
            oldest.cancel()
        attending = asyncio.ensure_future(self._attend(reader, writer))
        self._connections[attending] = None
        attending.add_done_callback(lambda ended: self._ended(ended, writer))

    def _ended(self, attending: "asyncio.Task[None]", writer: asyncio.StreamWriter) -> None:
        # Here and not in the coroutine: one that is crowded out may not have begun.
        self._connections.pop(attending, None)
        writer.transport.abort()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await _read_head(reader)
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(await self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.CancelledError):
            pass  # too slow, gone, or crowded out

    async def _answer(self, head: bytes) -> bytes:
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # noqa: PLR2004 -- method, target, version
            return _response(_said(HTTPStatus.BAD_REQUEST))
        method, target = words[0], words[1].split(b"?", 1)[0]
        if method not in {b"GET", b"HEAD"}:
            return _response(_said(HTTPStatus.METHOD_NOT_ALLOWED), extra="Allow: GET, HEAD\r\n")
        return _response(await self._page(target), has_body=method == b"GET")

    async def _page(self, target: bytes) -> Page:
        route = self._routes.get(target.decode("latin-1"))
        if route is None:
            return _said(HTTPStatus.NOT_FOUND)
        try:
            return await route()
        except Exception:  # noqa: BLE001 -- one page that fails must not cost the others
            _log.exception("the probe page %s failed", target.decode("latin-1"))
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR)


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return b""  # a request that ends early or never is answered as a bad one


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(MOST_CONNECTIONS)
        listener.setblocking(False)  # noqa: FBT003 -- the library's signature
    except OSError:
        listener.close()
        raise
    return listener


def _said(status: HTTPStatus) -> Page:
    return Page(status, "text/plain; charset=utf-8", f"{status.phrase}\n".encode("ascii"))


def _response(page: Page, *, has_body: bool = True, extra: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\n"
        f"Content-Type: {page.content_type}\r\n"
        f"Content-Length: {len(page.body)}\r\n"
        f"{extra}{_HEADERS}\r\n"
    )
    return head.encode("latin-1") + (page.body if has_body else b"")

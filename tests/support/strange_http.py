"""An HTTP server that answers as no library would: whatever bytes a test says, as slowly as it says."""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from holdfast.tests.support.processes import LOOPBACK


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    """By their names in small letters."""
    body: bytes


Answering = Callable[[Received, socket.socket], None]
"""Writes the answer; the connection is closed behind it."""


@dataclass(slots=True)
class StrangeServer:
    """Where it listens, and what it was asked."""

    host: str
    port: int
    received: list[Received] = field(default_factory=list[Received])
    is_let_go: threading.Event = field(default_factory=threading.Event)
    """Set when somebody closed a connection that was still written to."""

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://{self.host}:{self.port}"


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Answering:
    """Answer like this, always; `x_y` is the header `x-y`."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *lines])
    return lambda _, wire: wire.sendall(f"{head}\r\n\r\n".encode() + body)


@contextlib.contextmanager
def strange_server(
    answering: Answering, *, host: str = LOOPBACK, port: int = 0, tls: ssl.SSLContext | None = None
) -> Generator[StrangeServer]:
    """Serve for the length of a block, each connection on a thread and for one request."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                wire = tls.wrap_socket(self.request, server_side=True) if tls else self.request
                received = _read(wire)
                served.received.append(received)
                try:
                    answering(received, wire)
                except ConnectionError:
                    served.is_let_go.set()
                if tls:
                    wire.close()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server((host, port), Handler) as server:
        served = StrangeServer(host, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join(10)


def _read(wire: socket.socket) -> Received:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(wire)
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    pairs = (one.partition(": ") for one in lines)
    headers = {name.lower(): value for name, _, value in pairs}
    while len(body) < int(headers.get("content-length", "0")):
        body += _more(wire)
    return Received(line, headers, body)


def _more(wire: socket.socket) -> bytes:
    if not (data := wire.recv(65_536)):
        raise ConnectionResetError
    return data

"""What goes over a Redis server: every command with its arguments, as MONITOR tells it."""

import contextlib
import socket
import threading
from collections.abc import Callable, Generator

from holdfast.tests.support.processes import LOOPBACK


@contextlib.contextmanager
def monitored(port: int) -> Generator[Callable[[], list[str]]]:
    """Collect the commands of a server without password; the function returns what was seen so far."""
    lines: list[str] = []
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(b"MONITOR\r\n")

        def read() -> None:
            with (
                contextlib.suppress(OSError),
                connection.makefile("r", encoding="utf-8", errors="replace") as stream,
            ):
                lines.extend(stream)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield lambda: list(lines)
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

"""How handlers and the harness talk to the witness."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

from holdfast.tests.chaos.witness import LINE_BYTES
from holdfast.tests.support.processes import LOOPBACK, Server

PORT_VARIABLE = "CHAOS_WITNESS_PORT"


class Voice:
    """One connection of a worker process, kept; whatever goes wrong on it, the next word opens another."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def say(self, word: dict) -> dict:
        """Say one thing and return the answer; what was said may have been heard even if this raises."""
        async with self._lock:
            try:
                return await self._converse(word)
            except BaseException:
                self._hang_up()
                raise

    async def _converse(self, word: dict) -> dict:
        if self._streams is None:
            port = int(os.environ[PORT_VARIABLE])
            self._streams = await asyncio.open_connection(LOOPBACK, port, limit=LINE_BYTES)
        reader, writer = self._streams
        writer.write(json.dumps(word).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
        if not line:
            raise ConnectionResetError("the witness hung up")
        return json.loads(line)

    def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


class WitnessServer(Server):
    """The witness as a process that the harness starts and asks."""

    name = "witness"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{LOOPBACK}:{self.port}"

    def command(self) -> list[str]:
        """Run its file alone: it needs nothing of ours."""
        return [sys.executable, "-I", "-S", str(Path(__file__).with_name("witness.py")), str(self.port)]

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        return "counts" in self.ask({"ask": "counts"})

    def ask(self, word: dict) -> dict:
        """Say one thing over a connection of its own."""
        with socket.create_connection((LOOPBACK, self.port), timeout=10) as connection:
            connection.sendall(json.dumps(word).encode() + b"\n")
            with connection.makefile("r", encoding="utf-8") as stream:
                return json.loads(stream.readline())

    def counts(self) -> dict[str, int]:
        """Tell how many of each kind it has taken."""
        return self.ask({"ask": "counts"})["counts"]

    def book(self) -> list[dict]:
        """Return all that it heard."""
        return self.ask({"ask": "book"})["book"]

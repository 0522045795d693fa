"""The network between a client and its server, to be broken by a test.

    with Proxy(server.port) as network:
        client = connect(network.port)
        network.silence()     # packets vanish, connections stay open
        network.heal()

What a user-space proxy cannot show: the kernel still acknowledges, so TCP's own
timeouts (`TCP_USER_TIMEOUT`, keepalive) do not see the silence; timeouts of the client do.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Collection
from enum import Enum
from typing import Final, Self

from holdfast.tests.support.processes import LOOPBACK, free_port

_CHUNK_BYTES: Final = 65_536
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Way(Enum):
    """A direction through the proxy."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


BOTH_WAYS: Final = frozenset(Way)


class Proxy:
    """Forwards TCP from a port of its own to another port of the loopback address, until told otherwise.

    Runs on a thread. Every verb may be called from any thread, has taken effect when it
    returns, and may be called again; `heal` undoes all of them but `aim`.
    """

    def __init__(self, target_port: int) -> None:
        """Stand before the server at this port, which may be down."""
        self.port = free_port()
        self.lost_replies = 0
        """How many connections ended by `lose_reply_to`."""
        self._target_port = target_port
        self._delay_seconds = 0.0
        self._is_refusing = False
        self._loses_reply_to: bytes | None = None
        self._links: set[_Link] = set()
        self._flows = {way: asyncio.Event() for way in Way}
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self) -> Self:
        """Listen, and pass everything on."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5.0)
        return self

    def close(self) -> None:
        """End every connection and stop listening."""
        if self._loop.is_closed() or not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def heal(self, *, forgets: bool = False) -> None:
        """Pass everything on again: what was held arrives late, as TCP's own repetition makes it.

        `forgets`: connections that were open stay silent for ever, and neither end hears
        of it; only new ones work. So does a firewall that lost its table, or a host that is gone.
        """

        def heal() -> None:
            self._delay_seconds, self._is_refusing, self._loses_reply_to = 0.0, False, None
            for link in self._links:
                link.is_forgotten |= forgets
            for flow in self._flows.values():
                flow.set()

        self._do(heal)

    def silence(self, ways: Collection[Way] = BOTH_WAYS) -> None:
        """Let packets vanish: connections stay open, new ones are taken, nothing arrives."""
        self._do(lambda: [self._flows[way].clear() for way in ways])

    def delay(self, seconds: float) -> None:
        """Hold each packet for so long, both ways."""
        self._do(lambda: setattr(self, "_delay_seconds", seconds))

    def reset(self) -> None:
        """End all connections with a reset; new ones are passed on."""
        self._do(lambda: [link.reset() for link in tuple(self._links)])

    def refuse(self) -> None:
        """End all connections with a reset, and every new one too."""

        def refuse() -> None:
            self._is_refusing = True
            for link in tuple(self._links):
                link.reset()

        self._do(refuse)

    def aim(self, target_port: int) -> None:
        """Lead new connections to another server and reset the old ones, as a failover does."""

        def aim() -> None:
            self._target_port = target_port
            for link in tuple(self._links):
                link.reset()

        self._do(aim)

    def lose_reply_to(self, text: bytes) -> None:
        """Let the next packet with this text reach the server, and reset its connection before the reply."""
        self._do(lambda: setattr(self, "_loses_reply_to", text))

    @property
    def connections(self) -> int:
        """How many clients are connected, forgotten ones included."""
        return len(self._links)

    def _do(self, change: Callable[[], object]) -> None:
        async def apply() -> None:
            change()

        asyncio.run_coroutine_threadsafe(apply(), self._loop).result(5.0)

    async def _listen(self) -> None:
        for flow in self._flows.values():
            flow.set()
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
        for link in tuple(self._links):
            link.reset()
        ours = asyncio.all_tasks() - {asyncio.current_task()}
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        try:
            if self._is_refusing:
                return
            await self._flows[Way.TO_SERVER].wait()
            from_server, to_server = await asyncio.open_connection(LOOPBACK, self._target_port)
            link.ends.append(to_server)
            pumps = {
                asyncio.create_task(self._pump(link, Way.TO_SERVER, reader, to_server)),
                asyncio.create_task(self._pump(link, Way.TO_CLIENT, from_server, writer)),
            }
            _, open_still = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in open_still:
                pump.cancel()
        except OSError:
            return  # the server is down: the client is refused below
        finally:
            link.reset() if self._is_refusing else link.close()
            self._links.discard(link)

    async def _pump(
        self, link: "_Link", way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = await _read(source)
                await self._weather(link, way)
                if not data:
                    return
                if link.loses_reply and way is Way.TO_CLIENT:
                    self.lost_replies += 1
                    link.reset()
                    return
                if way is Way.TO_SERVER and self._loses_reply_to and self._loses_reply_to in data:
                    self._loses_reply_to = None
                    link.loses_reply = True
                sink.write(data)
                await sink.drain()

    async def _weather(self, link: "_Link", way: Way) -> None:
        if self._delay_seconds:
            await asyncio.sleep(self._delay_seconds)
        # Also the end of a connection is news that a silent network does not carry.
        await self._flows[way].wait()
        if link.is_forgotten:
            await asyncio.Event().wait()


class _Link:
    """One client's connection and, once it stands, ours to the server."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.ends = [client]
        self.is_forgotten = False
        self.loses_reply = False

    def reset(self) -> None:
        for end in self.ends:
            taken: socket.socket | None = end.get_extra_info("socket")
            with contextlib.suppress(OSError):
                if taken is not None:
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            end.transport.abort()

    def close(self) -> None:
        for end in self.ends:
            end.close()


async def _read(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.read(_CHUNK_BYTES)
    except OSError:
        return b""

"""The network that tests break keeps its word."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from holdfast.tests.support.processes import LOOPBACK
from holdfast.tests.support.proxy import Proxy, Way
from holdfast.tests.support.waiting import until

HEARD: list[bytes] = []


class Echo(socketserver.BaseRequestHandler):
    """Answers what it hears."""

    def handle(self) -> None:
        """Until the client is gone."""
        with contextlib.suppress(OSError):
            while data := self.request.recv(1000):
                HEARD.append(data)
                self.request.sendall(data)


@contextlib.contextmanager
def an_echo() -> Iterator[int]:
    """Serve on some port."""
    with socketserver.ThreadingTCPServer((LOOPBACK, 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def network() -> Iterator[Proxy]:
    """A proxy before an echo server."""
    HEARD.clear()
    with an_echo() as port, Proxy(port) as proxy:
        yield proxy


def call(network: Proxy) -> socket.socket:
    """Connect as a patient client."""
    return socket.create_connection((LOOPBACK, network.port), timeout=5.0)


def said(client: socket.socket, text: bytes, *, timeout_seconds: float = 5.0) -> bytes:
    """Say something and return what comes back."""
    client.settimeout(timeout_seconds)
    client.sendall(text)
    return client.recv(1000)


def test_passes_and_delays(network: Proxy):
    """In good weather everything arrives; a slow network takes its time, each way."""
    with call(network) as client:
        assert b"hello" == said(client, b"hello")
        network.delay(0.1)
        began_at = time.monotonic()
        assert b"slow" == said(client, b"slow")
        assert time.monotonic() - began_at >= 0.2


def test_what_was_held_arrives_when_the_network_heals(network: Proxy):
    """Silence is no error: nothing comes, for old connections and new ones, until it ends."""
    with call(network) as client:
        said(client, b"before")
        network.silence()
        with pytest.raises(TimeoutError):
            said(client, b"held", timeout_seconds=0.1)
        with call(network) as late, pytest.raises(TimeoutError):
            said(late, b"late", timeout_seconds=0.1)
        assert [b"before"] == HEARD
        network.heal()
        client.settimeout(5.0)
        assert b"held" == client.recv(1000)


def test_one_way_may_be_silent_alone(network: Proxy):
    """A question that arrives and is answered to nobody."""
    with call(network) as client:
        said(client, b"before")
        network.silence({Way.TO_CLIENT})
        with pytest.raises(TimeoutError):
            said(client, b"asked", timeout_seconds=0.1)
        until(lambda: b"asked" in HEARD, what="the question to arrive")


def test_a_forgotten_connection_stays_silent_for_ever(network: Proxy):
    """After a heal that forgets, new connections work and old ones hear neither data nor an end."""
    with call(network) as old:
        said(old, b"before")
        network.silence()
        network.heal(forgets=True)
        with call(network) as new:
            assert b"hello" == said(new, b"hello")
        with pytest.raises(TimeoutError):
            said(old, b"anybody?", timeout_seconds=0.1)


def test_resets_and_refuses(network: Proxy):
    """A reset ends what is open; a refusal also what comes."""
    with call(network) as client:
        said(client, b"before")
        network.reset()
        with pytest.raises(ConnectionResetError):
            said(client, b"?")
    with call(network) as client:
        assert b"again" == said(client, b"again")
    network.refuse()
    with pytest.raises(OSError, match=r"reset|Broken|aborted"), call(network) as client:
        assert said(client, b"?"), "an end in good order is no refusal"
    network.heal()
    with call(network) as client:
        assert b"healed" == said(client, b"healed")


def test_leads_to_another_server(network: Proxy):
    """After a failover new connections go elsewhere, and the old ones are gone."""
    with an_echo() as other, call(network) as client:
        said(client, b"before")
        network.aim(other)
        with pytest.raises(ConnectionResetError):
            said(client, b"?")
        with call(network) as new:
            assert b"there" == said(new, b"there")


def test_loses_one_reply(network: Proxy):
    """The server got the packet and answered; the client cannot know."""
    network.lose_reply_to(b"COMMIT")
    with call(network) as client:
        assert b"BEGIN" == said(client, b"BEGIN")
        with pytest.raises(ConnectionResetError):
            said(client, b"COMMIT")
    assert [b"BEGIN", b"COMMIT"] == HEARD
    assert 1 == network.lost_replies
    with call(network) as client:
        assert b"COMMIT" == said(client, b"COMMIT"), "only once"


def test_a_server_that_is_down_is_no_end_of_the_proxy():
    """Clients are turned away, and served when it is there."""
    with an_echo() as port:
        gone = port
    with Proxy(gone) as network:
        with call(network) as client, contextlib.suppress(OSError):
            assert b"" == said(client, b"?")
        with an_echo() as other:
            network.aim(other)
            with call(network) as client:
                assert b"hello" == said(client, b"hello")

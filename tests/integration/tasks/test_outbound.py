"""Calls to a real server: where they may go, by which ways, and how far their answers are read."""

import asyncio
import gzip
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from holdfast.jobs.errors import AttemptTimeout, TargetForbidden
from holdfast.tasks.outbound import AddressRules, Answer, Call, Outbound
from holdfast.tasks.outbound.pinned import PinnedTransport
from holdfast.tests.support.certificates import make_certificates
from holdfast.tests.support.processes import LOOPBACK, free_port
from holdfast.tests.support.strange_http import answer, strange_server

# Stands for a public address: allowed, and still on this machine.
OUTSIDE = "127.0.0.2"
RULES = AddressRules.of([OUTSIDE])
ENDLESS = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"


class Names:
    """A name server that gives one answer after the other; the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def call(
    url: str,
    *,
    names: Names | None = None,
    rules: AddressRules = RULES,
    seconds: float = 30.0,
    largest_bytes: int = 1_000_000,
    trust: ssl.SSLContext | None = None,
    method: str = "POST",
    **headers: str,
) -> Answer:
    """Make one call."""
    outbound = Outbound(rules, trust=trust, **({} if names is None else {"resolver": names}))
    made = Call(method, httpx.URL(url), headers, b"{}" if method == "POST" else None)
    return asyncio.run(outbound.call(made, seconds=seconds, largest_bytes=largest_bytes))


def test_a_call_goes_to_the_address_and_names_the_host():
    """The server sees the name that was called, and what was sent."""
    with strange_server(answer(201, b"made", etag="1"), host=OUTSIDE) as server:
        got = call(f"http://hooks.example:{server.port}/a?b=1", names=Names([OUTSIDE]), Authorization="x")
    (seen,) = server.received
    assert "POST /a?b=1 HTTP/1.1" == seen.line
    assert (f"hooks.example:{server.port}", "x", b"{}") == (
        seen.headers["host"], seen.headers["authorization"], seen.body,
    )  # fmt: skip
    assert (201, b"made", "1", 0) == (got.status, got.body, got.headers["etag"], got.redirects)
    assert f"http://hooks.example:{server.port}/a?b=1" == got.url


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]",
             "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "[::ffff:7f00:1]"],  # noqa: S104 -- nothing is bound to it
)  # fmt: skip
def test_loopback_is_refused_however_it_is_written(host):
    """By the system's own resolver; and nothing arrives."""
    with strange_server(answer()) as server:
        with pytest.raises((TargetForbidden, httpx.InvalidURL)):
            call(f"http://{host}:{server.port}/")
        assert [] == server.received


def test_metadata_is_refused():
    """By name as by address; nobody has to be there for that."""
    with pytest.raises(TargetForbidden, match="metadata"):
        call("http://169.254.169.254/latest/meta-data/")
    with pytest.raises(TargetForbidden, match="metadata"):
        call("http://metadata.example/", names=Names(["169.254.169.254"]))


def test_one_bad_address_forbids_the_host():
    """Else the caller would choose which one we take."""
    with strange_server(answer(), host=OUTSIDE) as server:
        with pytest.raises(TargetForbidden, match="loopback"):
            call(f"http://both.example:{server.port}/", names=Names([OUTSIDE, LOOPBACK]))
        assert [] == server.received


def test_a_name_that_changes_its_address_changes_nothing():
    """It is asked once for each request: what was checked is what is called; the next answer is refused."""
    with (
        strange_server(answer(), host=OUTSIDE) as outside,
        strange_server(answer(), port=outside.port) as inside,
    ):
        names = Names([OUTSIDE], [LOOPBACK])
        url = f"http://rebind.example:{outside.port}/"
        assert 200 == call(url, names=names).status
        assert ["rebind.example"] == names.asked
        with pytest.raises(TargetForbidden, match="loopback"):
            call(url, names=names)
        assert (1, 0) == (len(outside.received), len(inside.received))


def test_a_redirect_is_resolved_and_checked_again():
    """To the same name, which answers with another address by now."""
    with (
        strange_server(answer(307, location="/again"), host=OUTSIDE) as outside,
        strange_server(answer(), port=outside.port) as inside,
    ):
        with pytest.raises(TargetForbidden, match="loopback"):
            call(f"http://rebind.example:{outside.port}/", names=Names([OUTSIDE], [LOOPBACK]))
        assert (1, 0) == (len(outside.received), len(inside.received))


def test_a_redirect_to_loopback_is_refused():
    """By its address, too."""
    with (
        strange_server(answer()) as inside,
        strange_server(answer(302, location=inside.url), host=OUTSIDE) as outside,
    ):
        with pytest.raises(TargetForbidden, match="loopback"):
            call(outside.url)
        assert [] == inside.received


def test_redirects_are_followed_and_secrets_stay():
    """To another host the call goes without its Authorization."""
    other = "127.0.0.3"
    with (
        strange_server(answer(200, b"end"), host=other) as end,
        strange_server(answer(307, location=f"{end.url}/end"), host=OUTSIDE) as begin,
    ):
        got = call(begin.url, rules=AddressRules.of(["127.0.0.2/31"]), Authorization="secret")
    assert (b"end", f"{end.url}/end", 1) == (got.body, got.url, got.redirects)
    assert "secret" == begin.received[0].headers["authorization"]
    assert "authorization" not in end.received[0].headers
    assert b"{}" == end.received[0].body


def test_a_sixth_redirect_is_too_many():
    """And it is the end: another try would go round in the same circle."""
    with (
        strange_server(answer(302, location="/"), host=OUTSIDE) as server,
        pytest.raises(httpx.TooManyRedirects),
    ):
        call(server.url)
    assert 6 == len(server.received)


@pytest.mark.parametrize("addresses", [["127.0.0.3", OUTSIDE], [OUTSIDE, "127.0.0.3"]])
def test_the_first_address_that_is_up_is_called(addresses):
    """Nothing was sent to the other."""
    with strange_server(answer(), host=OUTSIDE) as server:
        got = call(
            f"http://two.example:{server.port}/",
            names=Names(addresses),
            rules=AddressRules.of(["127.0.0.2/31"]),
        )
    assert 200 == got.status


def test_of_very_many_addresses_eight_are_tried():
    """A name may have thousands."""
    with strange_server(answer(), host=OUTSIDE) as server:
        with pytest.raises(httpx.ConnectError):
            call(
                f"http://many.example:{server.port}/",
                names=Names(["127.0.0.3"] * 8 + [OUTSIDE]),
                rules=AddressRules.of(["127.0.0.2/31"]),
            )
        assert [] == server.received


def test_a_host_that_can_have_no_address_is_refused():
    """Names have parts of at most 63 characters."""
    with pytest.raises(TargetForbidden, match="valid name"):
        call(f"http://{'a' * 64}.example/")


def test_no_connection_is_used_for_another_host():
    """Two names of one address are two hosts: the certificate of one says nothing about the other."""
    ports = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            ports.add(self.client_address[1])
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its parent's name
            """Say nothing."""

    async def two(port: int) -> None:
        async with PinnedTransport(RULES, Names([OUTSIDE])) as transport:
            for host in ("one.example", "two.example"):
                request = httpx.Request("GET", f"http://{host}:{port}/")
                await (await transport.handle_async_request(request)).aread()

    with ThreadingHTTPServer((OUTSIDE, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        asyncio.run(two(server.server_address[1]))
        server.shutdown()
        thread.join(10)
    assert 2 == len(ports)


@pytest.mark.parametrize("names", [None, Names([])])
def test_a_host_without_an_address_is_no_reason_to_give_up(names):
    """Name servers fail, and names are made; the error is one of connecting."""
    with pytest.raises(httpx.ConnectError, match=r"nowhere\.invalid"):
        call("http://nowhere.invalid/", names=names)


def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    """A proxy would resolve by itself, behind our back."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with strange_server(answer(), host=OUTSIDE) as server:
        assert 200 == call(server.url).status


def test_the_certificate_is_that_of_the_name(tmp_path):
    """Not of the address that was called; and another name's is refused."""
    made = make_certificates(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(made.certificate, made.key)
    trust = ssl.create_default_context(cafile=str(made.authority))
    with strange_server(answer(), host=OUTSIDE, tls=serving) as server:
        names = Names([OUTSIDE])
        assert 200 == call(f"https://localhost:{server.port}/", names=names, trust=trust).status
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
            call(f"https://other.example:{server.port}/", names=names, trust=trust)
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
            call(f"https://localhost:{server.port}/", names=names)
    assert ["localhost:" + str(server.port)] == [one.headers["host"] for one in server.received]


def test_an_endless_body_is_cut_off():
    """And the connection closed: the server cannot go on."""

    def endless(_, wire):
        wire.sendall(ENDLESS)
        while True:
            wire.sendall(b"x" * 65_536)

    with strange_server(endless, host=OUTSIDE) as server:
        got = call(server.url, largest_bytes=100_000)
        assert server.is_let_go.wait(10)
    assert (b"x" * 100_000, True) == (got.body, got.is_truncated)


def test_a_bomb_is_not_unpacked():
    """Ten megabytes in ten kilobytes."""
    bomb = gzip.compress(bytes(10 * 2**20))
    with strange_server(answer(200, bomb, content_encoding="gzip"), host=OUTSIDE) as server:
        got = call(server.url, largest_bytes=20_000)
    assert (bytes(20_000), True) == (got.body, got.is_truncated)
    assert "identity" == server.received[0].headers["accept-encoding"]


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nx-a: ", ENDLESS])
def test_a_slow_drip_ends_in_time(beginning):
    """Before the answer, in its head, and in its body: each byte is no new time."""
    is_over = threading.Event()

    def drip(_, wire):
        wire.sendall(beginning)
        while not is_over.wait(0.01):
            wire.sendall(b"x" if beginning else b"")

    with strange_server(drip, host=OUTSIDE) as server:
        try:
            with pytest.raises(AttemptTimeout, match=OUTSIDE):
                call(server.url, seconds=0.3)
        finally:
            is_over.set()


def test_a_resolver_that_hangs_ends_in_time():
    """Its time is the call's."""

    async def hangs(host: str, port: int) -> Sequence[str]:
        return await asyncio.wrap_future(Future())

    with pytest.raises(AttemptTimeout):
        asyncio.run(
            Outbound(RULES, resolver=hangs).call(
                Call("GET", httpx.URL("http://slow.example/")), seconds=0.05, largest_bytes=1
            )
        )


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nx-a: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-a: y\r\n" * 50_000 + b"\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", b"",
    ],
)  # fmt: skip
def test_what_is_no_proper_http_is_an_error_of_the_transport(data):
    """Heads without end, other protocols, answers that break off: worth another try, and bounded."""
    with (
        strange_server(lambda _, wire: wire.sendall(data), host=OUTSIDE) as server,
        pytest.raises(httpx.TransportError),
    ):
        call(server.url)


def test_nothing_is_logged_of_it(caplog):
    """URLs and headers may be secrets."""
    caplog.set_level("INFO")
    with strange_server(answer(), host=OUTSIDE) as server:
        call(f"{server.url}/secret-token", Authorization="secret")
    assert "secret" not in caplog.text


def test_cookies_are_not_kept():
    """What one answer sets, the next request does not carry."""
    first = answer(302, location="/next", set_cookie="session=secret")
    second = answer()

    def both(received, wire):
        (second if "/next" in received.line else first)(received, wire)

    with strange_server(both, host=OUTSIDE) as server:
        call(server.url)
    assert [False, False] == ["cookie" in one.headers for one in server.received]

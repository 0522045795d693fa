"""The probe server and the heartbeat file, over real sockets and files."""

import contextlib
import json
import os
import socket
import threading
import time

import pytest

from holdfast.cli import probe
from holdfast.health import ComponentReport, Report, Status
from holdfast.jobs.clock import SystemClock
from holdfast.tests.support.vitals import SetVitals
from holdfast.tests.support.waiting import until
from holdfast.workers.probe_server import LARGEST_REQUEST_BYTES, MOST_CONNECTIONS, REQUEST_SECONDS
from holdfast.workers.probes import Probes
from holdfast.workers.vitals import VitalLimits

LIMITS = VitalLimits()


@pytest.fixture
def vitals():
    """A worker in good health."""
    return SetVitals()


@pytest.fixture
def probes(vitals, tmp_path):
    """Running probes on a port of the system's choice."""
    made = Probes(
        vitals,
        limits=LIMITS,
        heartbeat_file=tmp_path / "run" / "worker.heartbeat",
        metrics=lambda: ("text/plain; version=0.0.4", b"up 1\n"),
    )
    made.start()
    yield made
    made.stop()


def _send(port, request, timeout_seconds=5.0):
    with socket.create_connection(("127.0.0.1", port), timeout_seconds) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def _get(port, path, method="GET"):
    answer = _send(port, f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
def test_healthy_worker_says_ok(probes, path):
    """A worker in good health answers 200 and ok to all three questions."""
    status, _, body = _get(probes.port, path)
    assert (200, {"status": "ok", "detail": "ok"}) == (status, json.loads(body))


def test_draining_worker_is_unready_at_once_and_lives(probes, vitals):
    """From the instant of draining readiness is 503, and liveness stays."""
    vitals.draining = True
    assert 503 == _get(probes.port, "/readyz")[0]
    assert 200 == _get(probes.port, "/livez")[0]


def test_standing_loop_is_not_alive(probes, vitals):
    """A loop that stands still is told with its time."""
    vitals.tick_age = 99.0
    status, _, body = _get(probes.port, "/livez")
    assert 503 == status
    assert "99.0 s" in json.loads(body)["detail"]


def test_health_shows_components_and_the_worker(probes, vitals):
    """The health page is a report with the worker's own state in it; unhealthy is 503."""
    database = ComponentReport(Status.UNHEALTHY, None, "gone")
    vitals.report = lambda: Report(SystemClock().now(), {"database": database})
    status, _, body = _get(probes.port, "/health")
    report = json.loads(body)
    assert 503 == status
    assert {"status", "timestamp", "components"} == set(report)
    assert "3 of 10 slots in use" == report["components"]["worker"]["detail"]
    assert "unhealthy" == report["components"]["database"]["status"]


def test_hanging_health_check_delays_no_probe(probes, vitals):
    """While the health page hangs, for many askers, the other pages answer at once."""
    release = threading.Event()
    vitals.report = lambda: release.wait(30) and None
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            hanging = stack.enter_context(socket.create_connection(("127.0.0.1", probes.port), 5))
            hanging.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        started = time.monotonic()
        assert 200 == _get(probes.port, "/livez")[0]
        assert time.monotonic() - started < 5.0
        assert 1 == sum(thread.name == "holdfast-probe-health" for thread in threading.enumerate())
        release.set()
    until(lambda: not any(thread.name == "holdfast-probe-health" for thread in threading.enumerate()))


def test_failing_page_is_an_error_and_no_more(probes, vitals):
    """A page that fails says 500 without telling why, and the next one works."""
    vitals.report = lambda: 1 / 0
    status, _head, body = _get(probes.port, "/health")
    assert (500, b"Internal Server Error\n") == (status, body)
    assert 200 == _get(probes.port, "/livez")[0]


def test_metrics_page(probes):
    """Metrics are served beside the probes, with the supplier's content type."""
    status, head, body = _get(probes.port, "/metrics")
    assert (200, b"up 1\n") == (status, body)
    assert "Content-Type: text/plain; version=0.0.4" in head


def test_dawdlers_crowd_nobody_out(probes):
    """More half-open requests than there is room for, and a probe is still answered at once."""
    with contextlib.ExitStack() as stack:
        for _ in range(2 * MOST_CONNECTIONS):
            lazy = stack.enter_context(socket.create_connection(("127.0.0.1", probes.port), 5))
            lazy.sendall(b"GET /livez HT")
        started = time.monotonic()
        assert 200 == _get(probes.port, "/livez")[0]
        assert time.monotonic() - started < 1.0


def test_dawdler_is_cut_off(probes):
    """Who sends no request is cut off after two seconds, also when sending a byte at a time."""
    with socket.create_connection(("127.0.0.1", probes.port), 10) as lazy:
        lazy.sendall(b"GET ")
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert b"" == lazy.recv(100)
        assert time.monotonic() - started < REQUEST_SECONDS + 2


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /livez HTTP/1.1\r\n\r\n", 405),
        (b"DELETE / HTTP/1.1\r\n\r\n", 405),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /livez\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", 404),
        (b"GET /livez?x=1 HTTP/1.0\r\n\r\n", 200),
        (b"GET /livez HTTP/1.1\r\nX: " + b"a" * (LARGEST_REQUEST_BYTES + 100) + b"\r\n\r\n", 400),
    ],
)
def test_odd_requests(probes, request_bytes, status):
    """Only small GET and HEAD requests for known paths are served; everything else has its own no."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        answer = _send(probes.port, request_bytes)
    assert answer == b"" or status == int(answer.split()[1])


def test_head_has_no_body(probes):
    """HEAD answers like GET, without the body."""
    status, head, body = _get(probes.port, "/livez", "HEAD")
    assert (200, b"") == (status, body)
    assert "Content-Length: 33" in head


def test_headers_are_safe_and_tell_nothing(probes):
    """No answer names a server or may be cached or sniffed."""
    _, head, _ = _get(probes.port, "/livez")
    assert "no-store" in head
    assert "nosniff" in head
    assert "default-src 'none'" in head
    assert "server:" not in head.lower()


def test_taken_port_does_not_stop_a_worker(vitals, caplog):
    """A worker whose port is taken serves on another, and says so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        made = Probes(vitals, limits=LIMITS, port=taken.getsockname()[1])
        made.start()
        assert made.port not in {None, taken.getsockname()[1]}
        assert 200 == _get(made.port, "/livez")[0]
        made.stop()
    assert "cannot be used" in caplog.text


def test_start_and_stop_in_any_order(vitals, tmp_path):
    """Stop before start and a second stop do nothing; a stopped one starts again."""
    made = Probes(vitals, limits=LIMITS, heartbeat_file=tmp_path / "beat")
    made.stop()
    made.start()
    made.start()
    assert 200 == _get(made.port, "/livez")[0]
    made.stop()
    made.stop()
    assert made.port is None
    made.start()
    assert 200 == _get(made.port, "/livez")[0]
    made.stop()


def test_no_port_at_all(vitals, tmp_path):
    """Without a port there is the file alone."""
    made = Probes(vitals, limits=LIMITS, port=None, heartbeat_file=tmp_path / "beat")
    made.start()
    assert made.port is None
    assert probe.FIT == probe.main(["live", "--file", str(tmp_path / "beat")])
    made.stop()


def test_heartbeat_file_is_ours_alone_and_goes_with_us(probes, tmp_path):
    """The file can be read by its owner only, is replaced as a whole, and is removed at the end."""
    path = tmp_path / "run" / "worker.heartbeat"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (os.getpid(), probes.port) == (content["pid"], content["port"])
    assert 0o600 == path.stat().st_mode & 0o777
    inode = path.stat().st_ino
    until(lambda: path.stat().st_ino != inode, what="the file to be replaced")
    probes.stop()
    assert [] == list(path.parent.iterdir())


def test_heartbeat_file_follows_no_link(vitals, tmp_path):
    """Somebody's link in the file's place is replaced, not written through."""
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    (tmp_path / "beat").symlink_to(victim)
    (tmp_path / f".beat.{os.getpid()}").symlink_to(victim)
    made = Probes(vitals, limits=LIMITS, port=None, heartbeat_file=tmp_path / "beat")
    made.start()
    made.stop()
    assert "precious" == victim.read_text(encoding="utf-8")


def test_file_that_cannot_be_written_is_said_once(vitals, tmp_path, caplog):
    """A heartbeat file in an impossible place stops no worker."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    made = Probes(vitals, limits=LIMITS, port=None, heartbeat_file=tmp_path / "file" / "beat")
    made.start()
    made.stop()
    assert 1 == caplog.text.count("cannot write the heartbeat file")


@pytest.mark.parametrize("question", ["live", "ready", "startup"])
def test_probe_command_asks_the_server(probes, question, capsys):
    """The probe command gets its answer from the port."""
    assert probe.FIT == probe.main([question, "--port", str(probes.port)])
    assert '"ok"' in capsys.readouterr().out


def test_probe_command_says_no(probes, vitals, tmp_path, monkeypatch):
    """A worker that says no gives exit code 1, through port and file alike."""
    vitals.draining = True
    path = str(tmp_path / "run" / "worker.heartbeat")
    assert probe.UNFIT == probe.main(["ready", f"--port={probes.port}", "--quiet"])
    until(lambda: probe.main(["ready", "--file", path]) == probe.UNFIT, what="the file to say no")
    monkeypatch.setenv("HOLDFAST_PROBE_PORT", "0")
    monkeypatch.setenv("HOLDFAST_PROBE_HEARTBEAT_FILE", path)
    assert probe.UNFIT == probe.main(["ready"])
    assert probe.FIT == probe.main(["live"])


def test_stale_file_is_a_no(tmp_path, probes):
    """A file that a dead or frozen process left behind answers no."""
    content = json.loads((tmp_path / "run" / "worker.heartbeat").read_text(encoding="utf-8"))
    stale = tmp_path / "stale"
    stale.write_text(json.dumps(content | {"written_monotonic": time.monotonic() - 60}), encoding="utf-8")
    assert probe.UNFIT == probe.main(["live", "--file", str(stale)])
    stale.write_text(json.dumps(content | {"written_monotonic": time.monotonic() + 60}), encoding="utf-8")
    assert probe.UNFIT == probe.main(["live", "--file", str(stale)])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["alive"],
        ["live", "--port", "x"],
        ["live", "--port", "70000"],
        ["live", "--colour"],
        ["live", "--port", "1"],
        ["live", "--file", "/nowhere"],
        ["live", "--file", "/dev/null"],
        ["live", "--port", "1", "--host", "no such host"],
    ],
)
def test_probe_command_that_cannot_ask(arguments):
    """A wrong question, or nobody to ask, gives exit code 2."""
    assert probe.UNKNOWN == probe.main(arguments)


def test_other_servers_are_no_worker():
    """Something else that answers on the port is not taken for a worker."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer():
            connection, _ = other.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert probe.UNKNOWN == probe.main(["live", "--port", str(other.getsockname()[1])])
        thread.join()

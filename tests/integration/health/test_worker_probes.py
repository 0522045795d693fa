"""The probes of a real worker, from its start to its end."""

import asyncio
import http.client
import json
import signal
import subprocess
import sys

import pytest

from holdfast.cli import probe
from holdfast.ledger import LedgerConfig, connect
from holdfast.ledger.upgrade import migrate
from holdfast.tasks.application import make_app
from holdfast.tasks.client import Client
from holdfast.tasks.doorbell import Doorbell
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.redis import RedisServer
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer, worker_environment


@pytest.fixture
def platform(tmp_path):
    """A worker on servers of its own, the file of its heartbeat, and a client."""
    database = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    migrate(LedgerConfig(url=database))
    beat = tmp_path / "beat"
    with RedisServer() as redis:
        environment = worker_environment(
            tmp_path,
            broker_url=redis.url,
            database_url=database,
            probe_heartbeat_file=beat,
            shutdown_grace_seconds=3,
        )
        with WorkerServer(environment) as worker:
            ledger = connect(LedgerConfig(url=database))
            bell = Doorbell(
                make_app("test-probes", {"broker_url": redis.url}),
                ledger_id=ledger.ledger_id,
                queue_prefix="holdfast.",
                quorum=False,
            )
            client = Client(ledger, bell)
            yield worker, redis, beat, client
            client.close()
            bell.close()
            ledger.close()


def _ask(beat, question):
    return probe.main([question, "--file", str(beat), "--quiet"])


def _get(beat, path):
    port = json.loads(beat.read_text(encoding="utf-8"))["port"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_worker_in_good_health(platform):
    """A started worker is live, ready and started by file and by port, and serves health and metrics."""
    _, _, beat, _ = platform
    until(lambda: beat.exists() and _ask(beat, "ready") == probe.FIT, what="the worker to be ready")
    for path in ("/livez", "/readyz", "/startupz", "/health"):
        status, body = _get(beat, path)
        assert 200 == status, f"{path}: {body}"
    components = json.loads(_get(beat, "/health")[1])["components"]
    assert {"database", "redis", "worker"} == set(components)
    assert "holdfast_worker_slots 20" in _get(beat, "/metrics")[1]
    port = str(json.loads(beat.read_text(encoding="utf-8"))["port"])
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.cli.entry", "probe", "live", "--port", port], check=False
    )
    assert 0 == done.returncode


def test_draining_worker_is_not_ready_and_still_lives(platform):
    """From SIGTERM on a worker with a job to end is not ready, is live, and leaves no file behind."""
    worker, _, beat, client = platform
    until(lambda: beat.exists() and _ask(beat, "ready") == probe.FIT, what="the worker to be ready")
    asyncio.run(client.enqueue(sample_tasks.wait, [60.0]))
    until(lambda: json.loads(beat.read_text(encoding="utf-8"))["running"] == 1, what="the job to run")
    worker.send_signal(signal.SIGTERM)
    until(lambda: _get(beat, "/readyz")[0] == 503, what="the worker to be unready")
    assert 200 == _get(beat, "/livez")[0]
    until(lambda: not worker.is_running, timeout_seconds=20, what="the worker to leave")
    assert not beat.exists()


@pytest.mark.slow
def test_broker_that_is_away_kills_no_worker(platform):
    """Without its broker a worker is not ready, and live all the same."""
    _, redis, beat, _ = platform
    until(lambda: beat.exists() and _ask(beat, "ready") == probe.FIT, what="the worker to be ready")
    redis.kill()
    until(lambda: _ask(beat, "ready") == probe.UNFIT, timeout_seconds=60, what="the worker to be unready")
    assert probe.FIT == _ask(beat, "live")
    assert 503 == _get(beat, "/health")[0]

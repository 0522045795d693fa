"""`holdfast up`: the platform in the foreground."""

import json
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from holdfast.settings import embedded
from holdfast.tests.support.command_line import CommandLine, is_alive
from holdfast.tests.support.redis import redis_binary
from holdfast.tests.support.servers import require
from holdfast.tests.support.waiting import until

READY = "workers 1/1 up"
MODULE = """
import asyncio
from holdfast.tasks import task

@task(name="mine.version")
async def version() -> int:
    return 1

@task(name="mine.wait")
async def wait(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "waited"
"""
SETTINGS = {
    "HOLDFAST_TASK_MODULES": "mine",
    "HOLDFAST_BEAT_SECONDS": "0.5",
    "HOLDFAST_LEASE_SECONDS": "2",
    "HOLDFAST_LEADER_SECONDS": "3",
}


@pytest.fixture
def folder(tmp_path):
    """A user's project, on a path with a blank."""
    require(redis_binary(), "redis-server on PATH, or the extra `local`")
    made = tmp_path / "a project"
    made.mkdir()
    (made / "mine.py").write_text(MODULE)
    return made


def _up(folder, *arguments, **settings):
    return CommandLine("up", *arguments, folder=folder, settings={**SETTINGS, **settings})


def _holdfast(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-P", "-m", "holdfast.cli.entry", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **SETTINGS},
    )  # fmt: skip


def test_a_job_runs_beside_it_and_nothing_is_left_at_the_end(folder):
    """`holdfast enqueue` in the same folder finds the platform; SIGTERM ends all of it with exit code 0."""
    with _up(folder) as up:
        up.until_said(READY)
        done = _holdfast(folder, "enqueue", "mine.version", "--wait", "--json")
        assert 0 == done.returncode, done.stderr
        assert 1 == json.loads(done.stdout)["result"]
        children = up.children()
        up.signal(signal.SIGTERM)
        assert 0 == up.end()
        assert not any(map(is_alive, children))
        assert embedded.discover(folder / ".holdfast") is None
        assert "Traceback" not in up.output


def test_a_second_one_is_refused(folder):
    """On the same data folder a second platform is refused with 2, and the first is not disturbed."""
    with _up(folder) as up:
        up.until_said("Ctrl-C stops everything")
        second = _holdfast(folder, "up")
        assert 2 == second.returncode
        assert f"process {up.process.pid}" in second.stderr
        up.until_said(READY)


def test_a_killed_worker_comes_back_and_the_work_goes_on(folder):
    """When the worker is killed the job that it ran is run by the next one."""
    with _up(folder) as up:
        up.until_said(READY)
        job_id = _holdfast(folder, "enqueue", "mine.wait", "-a", "seconds=2").stdout.strip()

        def is_running():
            return '"state": "running"' in _holdfast(folder, "jobs", "show", job_id, "--json").stdout

        until(is_running, timeout_seconds=20, what="the job to run")
        up.worker().kill()
        up.until_said("worker-1 was killed by SIGKILL")
        up.until_said("worker-1 runs again")

        def is_completed():
            return '"state": "completed"' in _holdfast(folder, "jobs", "show", job_id, "--json").stdout

        until(is_completed, timeout_seconds=40, what="the job to be completed")


def test_a_killed_supervisor_leaves_no_orphan(folder):
    """SIGKILL of `up` ends broker and worker, too; the next `up` on the folder starts as ever."""
    with _up(folder) as up:
        up.until_said(READY)
        children = up.children()
        assert len(children) >= 2
        up.signal(signal.SIGKILL)
        up.end()
        until(lambda: not any(map(is_alive, children)), what="the end of all children")
    assert (folder / ".holdfast" / "broker.json").exists()
    with _up(folder) as again:
        again.until_said(READY)
        again.signal(signal.SIGINT)
        assert 0 == again.end()


@pytest.mark.parametrize("moment", ["", "Ctrl-C stops everything", READY])
def test_ctrl_c_at_any_moment_ends_everything(folder, moment):
    """Ctrl-C while it starts or runs, and once more while it stops, leaves no process and no traceback."""
    with _up(folder) as up:
        if moment:
            up.until_said(moment)
        else:
            until(
                lambda: up.child("redis-server") or up.child("valkey"), timeout_seconds=20, what="the broker"
            )
        children = up.children()
        up.signal(signal.SIGINT)
        up.signal(signal.SIGINT)
        assert up.end() in (0, 130)
        assert not any(map(is_alive, {*children, *up.children()}))
        assert "Traceback" not in up.output


def test_a_module_that_does_not_import_starts_nothing(folder):
    """File and line, and exit code 2, before any server is started."""
    (folder / "mine.py").write_text("raise RuntimeError('mend me')")
    with _up(folder) as up:
        assert 2 == up.end(60)
        assert "mine.py:1" in up.output
        assert not (folder / ".holdfast" / "logs").exists()


def test_a_taken_port_of_flower_starts_nothing(folder):
    """It is said beforehand, with the setting that mends it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with _up(folder, "--flower", HOLDFAST_FLOWER_PORT=str(port)) as up:
            assert 2 == up.end(60)
            assert "HOLDFAST_FLOWER_PORT" in up.output


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_explained(folder):
    """A module that cannot be imported is named with file and line; once mended the worker comes."""
    (folder / "mine.py").write_text("raise RuntimeError('mend me')")
    with _up(folder, "--reload") as up:
        up.until_said("3 times in a row", timeout_seconds=150)
        up.until_said("mine.py:1")
        (folder / "mine.py").write_text(MODULE)
        up.until_said(READY, timeout_seconds=150)


def test_changed_code_is_taken_up(folder):
    """With --reload the workers run the new code as soon as a file of the task modules has changed."""
    with _up(folder, "--reload") as up:
        up.until_said(READY)
        before = up.worker().pid
        (folder / "mine.py").write_text(MODULE.replace("return 1", "return 20"))
        up.until_said("mine.py changed")
        until(
            lambda: (child := up.worker()) and child.pid != before,
            timeout_seconds=30,
            what="a new worker",
        )
        done = _holdfast(folder, "enqueue", "mine.version", "--wait", "--timeout", "40")
        assert "20" == done.stdout.strip(), done.stderr


def test_each_worker_has_its_own_probe(folder):
    """Several workers share the work, and none the other's probe port or heartbeat file."""
    with _up(folder, "--workers", "2", "--slots", "7") as up:
        up.until_said("workers 2/2 up", timeout_seconds=60)
        workers = [child for child in up.children() if "holdfast.workers.app" in " ".join(child.cmdline())]
        files = {child.environ()["HOLDFAST_PROBE_HEARTBEAT_FILE"] for child in workers}
        assert 2 == len(files)
        assert {"7"} == {child.environ()["HOLDFAST_WORKER_SLOTS"] for child in workers}
        assert psutil.pid_exists(up.process.pid)

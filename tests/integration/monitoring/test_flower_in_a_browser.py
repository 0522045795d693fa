"""Flower beside a busy worker, seen through a real browser."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.flower import FlowerServer
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.processes import require
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import worker_environment

pytestmark = pytest.mark.browser

KEY = "sk-live-0123456789abcdef0123456789abcdef"
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1280,900",
    "--virtual-time-budget=8000",
)  # fmt: skip


def browse(folder: Path, *arguments: str) -> str:
    """Run the browser once with a profile of its own, and return what it prints."""
    program = require(shutil.which("chromium") or shutil.which("chromium-browser"), "Chromium")
    done = subprocess.run(
        [program, *QUIET, f"--user-data-dir={folder / 'profile'}", *arguments],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def run_jobs(held: Platform) -> None:
    """Leave jobs of every kind: done, failed, retried and done, running."""
    done = [sample_tasks.echo.enqueue_sync(str(n)).id for n in range(5)]
    done += [sample_tasks.flaky.enqueue_sync(2).id, sample_tasks.secret.enqueue_sync(api_key=KEY).id]
    broken = sample_tasks.broken.enqueue_sync(f"refused {KEY}").id
    running = [handle.id for handle in sample_tasks.wait.enqueue_many_sync([(60.0,)] * 3)]
    held.until_all(done, JobState.COMPLETED)
    held.until_all([broken], JobState.QUARANTINED)
    held.until_all(running, JobState.RUNNING)


def test_pages_show_the_jobs_and_no_secret(tmp_path: Path, sqlite_url: str, redis_server: RedisServer):
    """Real names and true states in the rendered page; the API key of a job nowhere."""
    redis_server.flush()
    with platform(tmp_path, broker_url=redis_server.url, database_url=sqlite_url) as held:
        environment = worker_environment(
            tmp_path, broker_url=redis_server.url, database_url=sqlite_url, flower_password="let-me-in-please"
        )
        with FlowerServer(environment) as flower:
            held.worker()
            run_jobs(held)
            login = "holdfast:let-me-in-please"
            until(lambda: len(flower.json("/api/tasks", login)) >= 11, what="the events to arrive")
            base = f"http://{login}@127.0.0.1:{flower.port}"
            page = browse(tmp_path, "--dump-dom", f"{base}/tasks")
            # A picture to look at, where somebody asked for one.
            folder = Path(os.environ.get("HOLDFAST_SCREENSHOTS") or tmp_path)
            for name in ("tasks", "workers"):
                browse(tmp_path, f"--screenshot={folder / f'flower-{name}.png'}", f"{base}/{name}")
            assert (folder / "flower-tasks.png").stat().st_size > 10_000
    for words in ("sample.echo", "sample.flaky", "sample.broken", "SUCCESS", "FAILURE", "STARTED"):
        assert words in page, words
    assert KEY not in page

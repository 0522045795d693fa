"""Where isolated jobs come from, when that fails: whoever could not begin goes back, nobody else notices."""

import os
import signal
from pathlib import Path

import psutil
import psycopg
import pytest

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.servers import PostgresServer, RedisServer
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer

pytestmark = pytest.mark.slow
REFUSED = '"service": "isolation"'


def nursery_of(worker: WorkerServer) -> psutil.Process:
    """Return the process that isolated ones are forked from."""
    children = psutil.Process(worker.worker_pid).children()
    return next(child for child in children if "holdfast.workers.isolated" in child.cmdline())


def first_free_descriptor(pid: int) -> int:
    """Return the number that its next descriptor would get."""
    used = {int(number) for number in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208 -- the kernel's folder
    return next(number for number in range(len(used) + 1) if number not in used)


def starts(folder: Path, name: str) -> int:
    """Count how often a handler began."""
    return len((folder / f"{name}.start").read_text().splitlines())


@pytest.mark.parametrize("left", [0, 1])
def test_a_process_that_cannot_be_made_harms_no_other(embedded: Platform, tmp_path: Path, left: int):
    """The nursery has no descriptor left, or one: running isolated jobs go on, the new one waits and runs."""
    worker = embedded.worker(worker_isolated_processes=4)
    running = [
        sample_tasks.apart_for_a_while.enqueue_sync(str(tmp_path), f"r{number}", 8.0) for number in range(3)
    ]
    until(
        lambda: all((tmp_path / f"r{n}.start").exists() for n in range(3)), timeout_seconds=30, what="three"
    )
    nursery = nursery_of(worker)
    before = nursery.rlimit(psutil.RLIMIT_NOFILE)
    nursery.rlimit(psutil.RLIMIT_NOFILE, (first_free_descriptor(nursery.pid) + left, before[1]))
    new = sample_tasks.apart.enqueue_sync(str(tmp_path))
    until(lambda: REFUSED in worker.log, timeout_seconds=30, what="the refusal")
    nursery.rlimit(psutil.RLIMIT_NOFILE, before)
    embedded.until_all([new.id, *(job.id for job in running)], JobState.COMPLETED, timeout_seconds=60)
    assert [1, 1, 1] == [starts(tmp_path, f"r{number}") for number in range(3)]
    assert 1 == starts(tmp_path, "apart")
    assert {1} == {job.attempt for job in embedded.jobs([new.id, *(job.id for job in running)])}
    assert nursery.is_running()


def test_a_database_without_room_costs_an_isolated_job_nothing(own_redis: RedisServer, tmp_path: Path):
    """PostgreSQL has "too many clients" for its process: it goes back, more than once, and runs later."""
    settings = {"max_connections": "30", "superuser_reserved_connections": "0"}
    with PostgresServer(settings=settings) as server:
        url = server.url_of(server.create_database())
        with platform(tmp_path, broker_url=own_redis.url, database_url=url) as held:
            worker = held.worker(worker_isolated_processes=2)
            sample_tasks.apart.enqueue_sync(str(tmp_path)).result_sync(timeout_seconds=30)
            hogs = [server.connect()]

            def is_refused_thrice() -> bool:
                try:
                    while True:
                        hogs.append(server.connect())
                except psycopg.OperationalError:
                    return worker.log.count(REFUSED) >= 3

            is_refused_thrice()
            job = sample_tasks.apart.enqueue_sync(str(tmp_path))
            until(is_refused_thrice, timeout_seconds=60, what="three refusals")
            for hog in hogs:
                hog.close()
            held.until_all([job.id], JobState.COMPLETED, timeout_seconds=60)
            row = held.ledger.job(job.id)
            assert (1, 0) == (row.attempt, row.crashes)
            assert {"handed_back", "completed"} == {one.outcome for one in held.ledger.attempts(job.id)}


def test_a_nursery_that_does_not_answer_is_replaced(embedded: Platform, tmp_path: Path):
    """Frozen: a kill that it does not carry out ends it, and the next isolated job runs."""
    worker = embedded.worker(worker_isolated_processes=1)
    endless = sample_tasks.apart.options(hard_timeout_seconds=600).enqueue_sync(str(tmp_path), "spin")
    until((tmp_path / "apart.start").exists, timeout_seconds=30, what="the start")
    nursery = nursery_of(worker)
    nursery.suspend()
    embedded.ledger.cancel(endless.id, "not needed")
    embedded.until_all([endless.id], JobState.CANCELLED, timeout_seconds=30)
    assert not nursery.is_running()
    assert sample_tasks.apart.enqueue_sync(str(tmp_path)).result_sync(timeout_seconds=30)


def test_a_handler_that_completed_its_job_goes_on(embedded: Platform, tmp_path: Path):
    """As it does in a worker: what it does afterwards is not cut off."""
    worker = embedded.worker()
    job = sample_tasks.apart_for_a_while.enqueue_sync(str(tmp_path), "tail", 3.0, first=True)
    assert 7 == job.result_sync(timeout_seconds=30)
    until((tmp_path / "tail.end").exists, timeout_seconds=15, what="its end")
    assert "lease_was_lost" not in worker.log


@pytest.mark.parametrize("how", ["limit", "worker killed"])
def test_what_an_isolated_handler_started_ends_with_it(embedded: Platform, tmp_path: Path, how: str):
    """A program that it waits for does not go on working for a job that has ended, or runs elsewhere."""
    worker = embedded.worker()
    limit = 2.0 if how == "limit" else 600.0
    sample_tasks.apart.options(hard_timeout_seconds=limit).enqueue_sync(str(tmp_path), "helper")
    until((tmp_path / "apart.helper").exists, timeout_seconds=30, what="the helper")
    helper = psutil.Process(int((tmp_path / "apart.helper").read_text().split()[0]))
    if how != "limit":
        os.kill(worker.worker_pid, signal.SIGKILL)
    until(lambda: not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE, what="its end")

"""Stories in which the servers die, forget, or cannot be reached."""

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import make_url

from holdfast.tests.chaos import tasks
from holdfast.tests.chaos.scene import JOBS, Scene
from holdfast.tests.chaos.worker_faults import PATIENCE_SECONDS
from holdfast.tests.support.proxy import Proxy
from holdfast.tests.support.servers import RabbitMQServer
from holdfast.tests.support.waiting import until

OUTAGE_SECONDS = 3.0
CUT_SECONDS = 30.0


def f3(scene: Scene) -> None:
    """SIGKILL of the broker, three seconds without it, and a restart with what it had saved."""
    scene.begin()
    scene.until_heard("start", 80)
    scene.broker.kill()
    _for_seconds(scene, OUTAGE_SECONDS, tasks.work, 2)
    scene.broker.start()
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.require(scene.fleet.restarts == 0, f"{scene.fleet.restarts} workers left")


def f4(scene: Scene) -> None:
    """The broker loses all its data: killed, its disk wiped, started again; jobs wait and are delayed."""
    scene.workers()
    scene.enqueue(tasks.work, [(1.0,)] * JOBS)
    scene.enqueue(tasks.work, [(0.2,)] * 40, delay_seconds=3.0)
    scene.until_heard("start", 80)
    scene.broker.kill()
    if isinstance(scene.broker, RabbitMQServer):
        shutil.rmtree(scene.broker.folder / "mnesia")
    scene.broker.start()
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.require(scene.fleet.restarts == 0, f"{scene.fleet.restarts} workers left")


def f9(scene: Scene) -> None:
    """The database is killed and comes back after three seconds; SQLite: another process locks the file."""
    scene.begin()
    scene.until_heard("start", 80)
    if scene.postgres is not None:
        scene.postgres.kill()
        _let_pass(OUTAGE_SECONDS)
        scene.postgres.start()
    else:
        path = make_url(scene.direct_url).database
        with contextlib.closing(sqlite3.connect(str(path), timeout=30, isolation_level=None)) as rival:
            rival.execute("BEGIN EXCLUSIVE")
            _let_pass(OUTAGE_SECONDS)
            rival.execute("ROLLBACK")
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.require(scene.fleet.restarts == 0, f"{scene.fleet.restarts} workers left")


def net_database(scene: Scene) -> None:
    """The network between one of two workers and the database drops everything for 30 seconds."""
    port = make_url(scene.direct_url).port or 0
    with Proxy(port) as network:
        url = make_url(scene.platform.database_url).set(port=network.port)
        scene.worker(database_url=url.render_as_string(hide_password=False))
        scene.worker()
        scene.fleet.until_ready()
        scene.enqueue(tasks.work, [(1.0,)] * JOBS)
        scene.until_heard("start", 80)
        network.silence()
        _for_seconds(scene, CUT_SECONDS, tasks.work, 1)
        network.heal()
        scene.fault_ends()
        _until_it_works_again(scene)
        scene.until_done(PATIENCE_SECONDS)
        scene.fleet.close()


def net_broker(scene: Scene) -> None:
    """The network between all workers and the broker drops everything for 30 seconds."""
    url = make_url(scene.platform.broker_url)
    with Proxy(scene.broker.port) as network:
        behind = url.set(port=network.port).render_as_string(hide_password=False)
        scene.worker(broker_url=behind)
        scene.worker(broker_url=behind)
        scene.fleet.until_ready()
        scene.enqueue(tasks.work, [(1.0,)] * JOBS)
        scene.until_heard("start", 80)
        network.silence()
        _for_seconds(scene, CUT_SECONDS, tasks.work, 1)
        network.heal()
        scene.fault_ends()
        scene.enqueue(tasks.work, [(0.2,)] * 20)
        scene.until_done(PATIENCE_SECONDS)
        scene.require(scene.fleet.restarts == 0, f"{scene.fleet.restarts} workers left")
        scene.fleet.close()


def _until_it_works_again(scene: Scene) -> None:
    """Wait until the worker that was cut off runs jobs again; that belongs to its recovery."""
    cut = scene.fleet[0].worker_pid

    def works() -> bool:
        scene.enqueue(tasks.work, [(0.2,)])
        ended = scene.fault_ended_at or 0.0
        words = scene.witness.book()
        return any(word["pid"] == cut and word["say"] == "start" and word["at"] > ended for word in words)

    try:
        until(works, timeout_seconds=PATIENCE_SECONDS)
    except AssertionError:
        scene.wrong.append("the worker that was cut off runs no jobs")


def _for_seconds(scene: Scene, seconds: float, task: Any, jobs_each: int) -> None:
    """Let a stretch of the fault pass, with producers going on."""

    def enqueue() -> None:
        scene.enqueue(task, [(0.2,)] * jobs_each)

    _let_pass(seconds, enqueue)


def _let_pass(seconds: float, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Let a stretch of the fault pass: its length is what the fault is."""
    ends_at = time.monotonic() + seconds

    def is_over() -> bool:
        meanwhile()
        return time.monotonic() >= ends_at

    until(is_over, timeout_seconds=seconds + 30)

"""The database is lost: clear errors outside, running jobs undisturbed, nothing ends twice."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.proxy import Proxy
from holdfast.tests.support.servers import PostgresServer, RedisServer
from holdfast.tests.support.waiting import until

DONE = JobState.COMPLETED


def lines(folder: Path, name: str) -> list[str]:
    """Return the marks under a name."""
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def insist(verb: Callable[[], Any]) -> Any:
    """Call until the database is there, as a producer does that has a key."""

    def once() -> Any:
        with contextlib.suppress(LedgerUnavailable):
            return verb()
        return None

    return until(once, timeout_seconds=60, what="the database")


def attend(folder: Path, name: str) -> str:
    """Enqueue a job that runs until `let_go`; return its id."""
    return sample_tasks.attend.options(key=name).enqueue_sync(str(folder), name).id


def let_go(folder: Path, *names: str) -> None:
    """Let jobs end."""
    for name in names:
        (folder / f"{name}.go").touch()


def until_started(folder: Path, name: str, times: int = 1) -> None:
    """Wait until a job has begun so often."""
    until(lambda: len(lines(folder, f"{name}.start")) >= times, timeout_seconds=45, what=f"{name} to begin")


def test_a_database_that_is_down_answers_at_once(tmp_path: Path, redis_url: str):
    """Enqueue with the database stopped: a clear error within a second, and nothing half written."""
    with PostgresServer(fsync=True) as server:
        url = server.url_of(server.create_database())
        with platform(tmp_path, broker_url=redis_url, database_url=url) as held:
            sample_tasks.echo.enqueue_sync("before")
            server.kill()
            began_at = time.perf_counter()
            with pytest.raises(LedgerUnavailable) as caught:
                sample_tasks.echo.enqueue_sync("during")
            assert time.perf_counter() - began_at < 5
            assert "Try again" in str(caught.value)
            assert "password" not in str(caught.value).lower()
            server.start()
            after = insist(lambda: sample_tasks.echo.enqueue_sync("after"))
            assert JobState.AVAILABLE == held.ledger.job(after.id).state


def test_postgresql_restarts_under_load(tmp_path: Path, redis_url: str):
    """Stopped, then killed, under producers and jobs: each key has one job, one start and one end."""
    with PostgresServer(fsync=True) as server:
        url = server.url_of(server.create_database())
        with platform(tmp_path, broker_url=redis_url, database_url=url) as held:
            worker = held.worker(lease_seconds=10.0, worker_slots=10)
            pid = worker.worker_pid
            long = [attend(tmp_path, f"long{number}") for number in range(3)]
            until(lambda: held.count(long, JobState.RUNNING) == 3, timeout_seconds=30, what="running jobs")
            names = [f"job{number}" for number in range(200)]
            with producers(names, tmp_path) as ids:
                for break_ in (server.stop, server.kill):
                    goal = len(ids) + 30
                    until(lambda goal=goal: len(ids) >= goal, timeout_seconds=60, what="load")
                    break_()
                    server.start()
            insist(lambda: held.count(long, JobState.RUNNING) == 3)
            let_go(tmp_path, "long0", "long1", "long2")
            insist(lambda: held.count([*long, *ids.values()], DONE) == 203)
            assert 200 == len(ids) == len(set(ids.values()))
            assert all(1 == len(lines(tmp_path, f"{name}.end")) for name in names)
            assert all(1 == len(lines(tmp_path, f"long{n}.start")) for n in range(3))
            assert pid == worker.worker_pid


@contextlib.contextmanager
def producers(names: list[str], folder: Path) -> Iterator[dict[str, str]]:
    """Enqueue from three threads, each job under its key again and again until it is answered."""
    ids: dict[str, str] = {}
    waiting = list(names)

    def produce() -> None:
        while True:
            try:
                name = waiting.pop()
            except IndexError:
                return
            enqueue = sample_tasks.witness.options(key=name).enqueue_sync
            ids[name] = insist(partial(enqueue, str(folder), name, 0.05)).id
            time.sleep(0.02)  # noqa: TID251 -- a load that lasts through two restarts

    threads = [threading.Thread(target=produce) for _ in range(3)]
    for thread in threads:
        thread.start()
    yield ids
    for thread in threads:
        thread.join(60)


def test_a_failover_that_misses_the_last_commits(tmp_path: Path, own_redis: RedisServer):
    """What was not replicated never happened: a job of that time is gone, an end of it comes again, once.

    What the new primary knows goes on undisturbed, and no two executions write.
    """
    with (
        PostgresServer() as primary,
        Proxy(primary.port) as replication,
        Proxy(primary.port) as network,
    ):
        url = primary.url_of(primary.create_database()).replace(str(primary.port), str(network.port))
        with (
            platform(tmp_path, broker_url=own_redis.url, database_url=url) as held,
            primary.replica(replication.port) as replica,
        ):
            worker = held.worker(worker_slots=2, lease_seconds=10.0)
            known, ends = attend(tmp_path, "known"), attend(tmp_path, "ends")
            until(
                lambda: held.count([known, ends], JobState.RUNNING) == 2, timeout_seconds=30, what="two jobs"
            )
            begins = attend(tmp_path, "begins")
            until(lambda: has_all_of(primary, replica), timeout_seconds=30, what="the replica to catch up")
            replication.silence()
            # From here on nothing is replicated.
            let_go(tmp_path, "ends")
            held.until_all([ends], DONE)
            until_started(tmp_path, "begins")
            lost = held.ledger.job(begins).fence
            gone = attend(tmp_path, "gone")
            primary.kill()
            replica.promote()
            network.aim(replica.port)
            assert 2 == insist(held.ledger.promoted)
            # Lost: the job whose enqueue was answered, unless its producer repeats it.
            assert {} == held.ledger.find([gone])
            again = attend(tmp_path, "gone")
            let_go(tmp_path, "gone")
            # Lost: an end, and a claim. Both jobs run again, under a higher fence.
            until_started(tmp_path, "begins", times=2)
            let_go(tmp_path, "known", "begins")
            held.until_all([known, ends, begins, again], DONE, timeout_seconds=45)
            assert held.ledger.job(begins).fence > lost
            # The execution that lost its claim was cancelled, and wrote nothing.
            assert 1 == len(lines(tmp_path, "begins.end"))
            assert (2, 2) == (len(lines(tmp_path, "ends.start")), len(lines(tmp_path, "ends.end")))
            assert (1, 1) == (len(lines(tmp_path, "known.start")), len(lines(tmp_path, "known.end")))
            for job_id in (known, ends, begins, again):
                assert 1 == sum(moment.kind == "complete" for moment in held.ledger.history(job_id))
            assert worker.is_running


def has_all_of(primary: PostgresServer, replica: PostgresServer) -> bool:
    """Tell whether the replica has replayed what the primary has written by now."""
    with primary.connect() as connection:
        (position,) = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone() or ("",)
    with replica.connect() as connection:
        question = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        return bool((connection.execute(question, (position,)).fetchone() or (False,))[0])


@contextlib.contextmanager
def behind_a_network(
    folder: Path, redis_url: str, server: PostgresServer
) -> Iterator[tuple[Platform, Proxy]]:
    """A platform whose producer reaches PostgreSQL through a network, and its workers directly."""
    with Proxy(server.port) as network:
        direct = server.url_of(server.create_database())
        url = direct.replace(str(server.port), str(network.port))
        with platform(folder, broker_url=redis_url, database_url=url) as held:
            held.database_url = direct
            yield held, network


def test_an_enqueue_whose_commit_is_unknown_is_done_once(
    tmp_path: Path, own_redis: RedisServer, postgres_server: PostgresServer
):
    """The reply to COMMIT is lost: the ledger asks again by itself, with a key, without, and in bulk."""
    with behind_a_network(tmp_path, own_redis.url, postgres_server) as (held, network):
        network.lose_reply_to(b"COMMIT")
        keyed = sample_tasks.echo.options(key="k").enqueue_sync("keyed")
        network.lose_reply_to(b"COMMIT")
        plain = sample_tasks.echo.enqueue_sync("plain")
        network.lose_reply_to(b"COMMIT")
        many = [handle.id for handle in sample_tasks.echo.enqueue_many_sync([(str(n),) for n in range(50)])]
        assert 3 == network.lost_replies
        assert 52 == sum(count.count for count in held.ledger.counts())
        held.worker()
        held.until_all([keyed.id, plain.id, *many], DONE, timeout_seconds=45)


@pytest.mark.parametrize("key", ["k", pytest.param(None, marks=pytest.mark.slow)])
def test_an_enqueue_whose_commit_stays_unknown_may_be_repeated_with_its_key(
    tmp_path: Path, own_redis: RedisServer, postgres_server: PostgresServer, key: str | None
):
    """The reply is lost and the database stays away: a clear error; with a key there is one job, else two.

    The first was committed and nobody rang for it: it runs all the same.
    """
    with behind_a_network(tmp_path, own_redis.url, postgres_server) as (held, network):
        task = sample_tasks.echo.options(key=key)
        network.lose_reply_to(b"COMMIT", then_refuses=True)
        with pytest.raises(LedgerUnavailable, match="Try again"):
            task.enqueue_sync("unknown")
        assert 1 == network.lost_replies
        network.heal()
        again = insist(lambda: task.enqueue_sync("unknown"))
        assert (key is None) == again.created
        jobs = 1 if key else 2
        assert jobs == sum(count.count for count in held.ledger.counts())
        held.worker()
        until(
            lambda: [(DONE, jobs)] == [(count.state, count.count) for count in held.ledger.counts()],
            timeout_seconds=45, what="every job to run",
        )  # fmt: skip


@pytest.mark.parametrize("mode", ["IMMEDIATE", pytest.param("EXCLUSIVE", marks=pytest.mark.slow)])
def test_a_locked_sqlite_suspends_a_worker_and_no_longer(embedded: Platform, tmp_path: Path, mode: str):
    """Another process keeps the file: an enqueue says so, and running jobs go on and end."""
    worker = embedded.worker(database_lock_timeout_seconds=0.5)
    first, second = attend(tmp_path, "first"), attend(tmp_path, "second")
    until(lambda: embedded.count([first, second], JobState.RUNNING) == 2, timeout_seconds=30, what="two jobs")
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)) as rival:
        rival.execute(f"BEGIN {mode}")
        let_go(tmp_path, "first")
        until(lambda: lines(tmp_path, "first.end"), what="a handler to end without a ledger")
        until(lambda: "lease_unsure" in worker.log, timeout_seconds=30, what="the worker to be unsure")
        with pytest.raises(LedgerUnavailable, match="locked"):
            sample_tasks.echo.enqueue_sync("during")
        rival.execute("ROLLBACK")
    let_go(tmp_path, "second")
    embedded.until_all([first, second], DONE)
    assert "after" == sample_tasks.echo.enqueue_sync("after").result_sync(timeout_seconds=20)
    for name, job in zip(("first", "second"), embedded.jobs([first, second]), strict=True):
        assert (1, 1, 1) == (
            job.attempt, len(lines(tmp_path, f"{name}.start")), len(lines(tmp_path, f"{name}.end")),
        )  # fmt: skip
    assert worker.is_running
    assert "lease_was_lost" not in worker.log


@pytest.mark.slow
def test_a_pool_of_one_serves_many(tmp_path: Path, redis_url: str, postgres_server: PostgresServer):
    """A worker whose pool holds a single connection runs everything: calls wait in line for it."""
    url = postgres_server.url_of(postgres_server.create_database())
    with platform(tmp_path, broker_url=redis_url, database_url=url) as held:
        held.worker(database_pool_size=1, database_pool_overflow=0)
        ids = [handle.id for handle in sample_tasks.echo.enqueue_many_sync([(str(n),) for n in range(200)])]
        held.until_all(ids, DONE, timeout_seconds=45)


@pytest.mark.slow
def test_a_server_without_connections_is_an_outage_with_an_end(tmp_path: Path, redis_url: str):
    """PostgreSQL has "too many clients": a clear error at once, and the job runs later."""
    with PostgresServer(settings={"max_connections": "12"}) as server:
        name = server.create_database()
        with platform(tmp_path, broker_url=redis_url, database_url=server.url_of(name)) as held:
            with contextlib.ExitStack() as greedy:
                held.ledger._engine.dispose()  # noqa: SLF001 -- whoever comes now finds no connection free
                with contextlib.suppress(psycopg.OperationalError):
                    while True:
                        greedy.enter_context(contextlib.closing(server.connect(name)))
                with pytest.raises(LedgerUnavailable, match="too many clients"):
                    sample_tasks.echo.enqueue_sync("during")
            after = insist(lambda: sample_tasks.echo.enqueue_sync("after"))
            held.worker(database_pool_size=2, database_pool_overflow=1)
            held.until_all([after.id], DONE, timeout_seconds=30)

"""Stories about what comes in: garbage, repeated batches, delays, a sick upstream, a backlog."""

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping

from kombu import Connection

from holdfast.tests.chaos import tasks
from holdfast.tests.chaos.judge import Books
from holdfast.tests.chaos.scene import JOBS, SETTINGS, Scene
from holdfast.tests.chaos.server_faults import CUT_SECONDS, _let_pass
from holdfast.tests.chaos.worker_faults import PATIENCE_SECONDS
from holdfast.tests.support.mutations import Fuzzer
from holdfast.tests.support.platform import PREFIX
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import worker_environment

GARBAGE = 300
SEED = 20261126
BATCH = 500
KILLED_AFTER = 150
DELAY_SECONDS = 4.0
BACKLOG = 10_000
BACKLOG_SECONDS = 150.0
UPSTREAM_SECONDS = 60.0


def f8(scene: Scene) -> None:
    """300 strange messages on the queues, among good jobs."""
    scene.begin(seconds=0.5)
    pids = [member.worker_pid for member in scene.fleet]
    _send_garbage(scene)
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    _until_queues_are_empty(scene)
    scene.require(pids == [member.worker_pid for member in scene.fleet], "a worker was replaced")
    canary = scene.enqueue(tasks.work, [(0.0,)])
    scene.until_done(PATIENCE_SECONDS)
    scene.require(bool(canary), "no canary")

    def kept(books: Books) -> str:
        scene.extra["put_aside"] = sum(reason != "poison" for reason in books.reasons.values())
        return ""

    scene.afterwards(kept)


def f10(scene: Scene) -> None:
    """A producer is killed while it enqueues 500 jobs with keys, and then does it all again."""
    scene.workers()
    confirmed = _produce(scene, killed_after=KILLED_AFTER)
    known = {job.id for job in scene.platform.ledger.find(confirmed).values()}
    scene.require(set(confirmed) == known, "a confirmed job does not exist")
    scene.expected += _produce(scene, killed_after=None)
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.require(set(confirmed) <= set(scene.expected), "the repetition made other jobs")
    scene.extra["confirmed_before_the_kill"] = len(confirmed)
    scene.afterwards(
        lambda books: "" if len(books.states) == BATCH else f"{len(books.states)} jobs for {BATCH} requests"
    )


def f11(scene: Scene) -> None:
    """All workers are killed while 200 jobs wait for their time."""
    scene.workers()
    due_at = time.monotonic() + DELAY_SECONDS
    delayed = set(scene.enqueue(tasks.work, [(0.2,)] * JOBS, delay_seconds=DELAY_SECONDS))
    for member in scene.fleet:
        member.kill()
    scene.fleet.until_ready()
    _let_pass(max(0.0, due_at - time.monotonic()))
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.afterwards(lambda books: _early(scene, books, delayed, due_at))


def f13(scene: Scene) -> None:
    """The upstream is down for 30 seconds, then takes 20 calls a second."""
    with _shared_state(scene) as settings:
        scene.workers(2, worker_slots=JOBS, **settings)
        scene.witness.ask({"outage": True})
        scene.enqueue(tasks.call, [()] * JOBS)
        _let_pass(CUT_SECONDS)
        scene.witness.ask({"outage": False})
        scene.fault_ends()
        scene.until_done(UPSTREAM_SECONDS)

    def count_calls(books: Books) -> str:
        calls = [word for word in books.heard if word["say"] == "call"]
        statuses = Counter(word["status"] for word in calls)
        seconds = Counter(int(word["at"]) for word in calls if word["at"] > (scene.fault_ended_at or 0))
        scene.extra["wasted_calls_in_the_outage"] = statuses[503]
        scene.extra["refused_calls_after_it"] = statuses[429]
        scene.extra["peak_calls_per_second_after_it"] = max(seconds.values(), default=0)
        return ""

    scene.afterwards(count_calls)


def f16(scene: Scene) -> None:
    """10,000 jobs wait when the workers start."""
    scene.inside = False
    scene.enqueue(tasks.light, [()] * BACKLOG)
    scene.workers()
    scene.fault_ends()
    scene.until_done(BACKLOG_SECONDS)


def early_jobs(scene: Scene) -> None:
    """Enqueue half of the jobs with a delay, and have the books show whether one began too early."""
    due_at = time.monotonic() + DELAY_SECONDS
    delayed = set(scene.enqueue(tasks.work, [(0.2,)] * (JOBS // 2), delay_seconds=DELAY_SECONDS))
    scene.afterwards(lambda books: _early(scene, books, delayed, due_at))


@contextlib.contextmanager
def _shared_state(scene: Scene) -> Iterator[Mapping[str, object]]:
    """Let workers share what they know of upstreams: in their broker, or in a Redis beside RabbitMQ."""
    if isinstance(scene.broker, RedisServer):
        yield {}
        return
    with RedisServer() as store:
        yield {"shared_state_url": store.url}


def _early(scene: Scene, books: Books, delayed: set[str], due_at: float) -> str:
    early = [
        word
        for word in books.heard
        if word["say"] == "start" and word["job"] in delayed and word["at"] < due_at
    ]
    scene.extra["early"] = len(early)
    return f"{len(early)} jobs began before their time" if early else ""


def _own(scene: Scene, queue: str) -> str:
    """Return the name that a queue of the default namespace has in the scene's."""
    return f"{scene.platform.namespace}.{queue.removeprefix(PREFIX)}"


def _send_garbage(scene: Scene) -> None:
    fuzzer = Fuzzer(SEED, scene.platform.ledger.ledger_id)
    if isinstance(scene.broker, RedisServer):
        with scene.broker.client() as client:
            for _ in range(GARBAGE):
                message = fuzzer.redis()
                client.lpush(_own(scene, message.queue), message.raw)
        return
    with Connection(scene.platform.broker_url, transport_options={"confirm_publish": True}) as connection:
        channel = connection.channel()
        for _ in range(GARBAGE):
            _, queue, message = fuzzer.amqp()
            channel.basic_publish(message, exchange="", routing_key=_own(scene, queue))


def _until_queues_are_empty(scene: Scene) -> None:
    names = [f"{scene.platform.namespace}.{name}" for name in ("default", "celery", "plain")]
    if isinstance(scene.broker, RedisServer):
        with scene.broker.client() as client:
            until(lambda: not client.exists(*names), timeout_seconds=PATIENCE_SECONDS, what="empty queues")
        return
    with Connection(scene.platform.broker_url) as connection:
        channel = connection.channel()
        for name in names:
            until(
                lambda name=name: channel.queue_declare(name, passive=True).message_count == 0,
                timeout_seconds=PATIENCE_SECONDS,
                what=name,
            )


def _produce(scene: Scene, *, killed_after: int | None) -> list[str]:
    """Run the producer, to its end or to its death; return the jobs that it was told of."""
    path = scene.folder / f"producer-{killed_after}.txt"
    with path.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.tests.chaos.producer", str(BATCH)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_producers_environment(scene),
        )
    try:
        if killed_after is not None:
            until(lambda: len(path.read_bytes().splitlines()) >= killed_after, timeout_seconds=60)
        else:
            process.wait(60)
    finally:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    return path.read_bytes().decode().splitlines()


def _producers_environment(scene: Scene) -> Mapping[str, str]:
    settings = worker_environment(
        scene.folder,
        broker_url=scene.platform.broker_url,
        database_url=scene.platform.database_url,
        namespace=scene.platform.namespace,
        **SETTINGS,
    )
    others = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return {**others, **settings}

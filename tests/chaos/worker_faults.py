"""Stories in which workers die, freeze, leave, or run out of something."""

import resource
import time
from pathlib import Path

import psutil

from holdfast.tests.chaos import tasks
from holdfast.tests.chaos.judge import Books
from holdfast.tests.chaos.scene import JOBS, LEASE_SECONDS, Scene
from holdfast.tests.support.waiting import until

PATIENCE_SECONDS = 45.0
"""Who is not done so long after a fault is lost; the bound of the table is tighter."""
POISON_SECONDS = 75.0
MOST_CRASHES = 7
"""The first, and at most six further ones."""
LONG_SECONDS = 3 * LEASE_SECONDS + 1
SPARE_BYTES = 64 * 1024 * 1024
GLUTTONS = 5


def f1(scene: Scene) -> None:
    """SIGKILL of one process that runs jobs."""
    scene.begin()
    scene.until_heard("start", 80)
    scene.fleet[0].kill_worker()
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)


def f2(scene: Scene) -> None:
    """SIGKILL of all workers, companions included, in mid-job."""
    scene.begin()
    scene.until_heard("start", 80)
    _kill_all(scene)
    scene.until_done(PATIENCE_SECONDS)


def f2b(scene: Scene) -> None:
    """SIGKILL of all workers after the outside effects, before the jobs are completed."""
    scene.begin(seconds=0.2, linger=1.0)
    scene.until_heard("keyed", 80)
    _kill_all(scene)
    scene.until_done(PATIENCE_SECONDS)


def f5(scene: Scene) -> None:
    """Rolling SIGTERM: some jobs are longer than the grace of a second."""
    scene.workers(2, shutdown_grace_seconds=1.0)
    scene.enqueue(tasks.work, [(0.5,)] * (JOBS - 40))
    scene.enqueue(tasks.work, [(3.0,)] * 40)
    scene.until_heard("start", 40)
    codes = []
    for member in scene.fleet:
        codes.append(member.terminate())
        scene.fleet.until_ready()
        scene.enqueue(tasks.work, [(0.5,)] * 20)
    scene.fault_ends()
    scene.extra["exit_codes"] = codes
    scene.require(codes == [0, 0], f"workers left with {codes}")
    scene.until_done(PATIENCE_SECONDS)
    scene.afterwards(_nothing_quarantined)


def f6(scene: Scene) -> None:
    """Jobs of three leases: nobody may take them for lost."""
    scene.workers(2, worker_slots=JOBS // 2 + 20)
    scene.enqueue(tasks.work, [(LONG_SECONDS,)] * JOBS)
    scene.until_heard("start", JOBS)
    scene.until_heard("raw", 1)
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.afterwards(lambda books: _no_more_than(books, "start", JOBS))


def f7(scene: Scene) -> None:
    """One job that kills its process each time, among good ones in the same process."""
    scene.workers(1, worker_slots=JOBS + 20)
    good = scene.enqueue(tasks.work, [(2.0,)] * JOBS)
    (pill,) = [handle.id for handle in tasks.kill.enqueue_many_sync([(0.5,)])]
    scene.fault_ends()
    scene.until_done(POISON_SECONDS)
    scene.require(set(scene.expected) == set(good), "the pill is not expected to end")
    until_quarantined = _quarantined(scene, pill)
    scene.afterwards(lambda books: "" if books.reasons.get(pill) == "poison" else _fate(books, pill))
    scene.extra["pill_quarantined"] = until_quarantined

    def few_crashes(books: Books) -> str:
        starts = sum(word["job"] == pill for word in books.heard if word["say"] == "start")
        scene.extra["pill_starts"] = starts
        scene.extra["worker_restarts"] = scene.fleet.restarts
        return "" if starts <= MOST_CRASHES else f"the pill was started {starts} times"

    scene.afterwards(few_crashes)


def f12(scene: Scene) -> None:
    """SIGSTOP of one worker beyond its lease, and SIGCONT when others have done its jobs."""
    scene.begin(linger=0.5)
    scene.until_heard("raw", 20)
    scene.fleet[0].pause()
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.fleet[0].resume()
    until(
        lambda: len(scene.platform.ledger.workers()) == len(scene.fleet),
        timeout_seconds=PATIENCE_SECONDS,
        what="the sleeper to work again, under a new row",
    )


def f15(scene: Scene) -> None:
    """One of two workers runs out of file descriptors, for good."""
    scene.workers(2)
    poor = psutil.Process(scene.fleet[0].worker_pid)
    scene.enqueue(tasks.work, [(1.0,)] * JOBS)
    scene.until_heard("start", 40)
    _limit(poor.pid, resource.RLIMIT_NOFILE, max(_descriptors(poor.pid)) + 1)
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.enqueue(tasks.work, [(0.2,)] * 60)
    scene.until_done(PATIENCE_SECONDS, is_recovery=False)
    scene.extra["worker_restarts"] = scene.fleet.restarts


def f15mem(scene: Scene) -> None:
    """One of two workers has little memory left, and some jobs take all of it at their first attempt."""
    scene.workers(2)
    poor = psutil.Process(scene.fleet[0].worker_pid)
    _limit(poor.pid, resource.RLIMIT_AS, poor.memory_info().vms + SPARE_BYTES)
    scene.enqueue(tasks.swallow, [(1.0,)] * GLUTTONS)
    scene.enqueue(tasks.work, [(1.0,)] * JOBS)
    scene.until_heard("start", 40)
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.extra["worker_restarts"] = scene.fleet.restarts


def _kill_all(scene: Scene) -> None:
    """Kill every worker; the fault ends when the platform has brought the first one up again."""
    began = time.monotonic()
    for member in scene.fleet:
        member.kill()
    scene.fleet.until_one_is_ready()
    scene.fault_ends()
    scene.extra["seconds_without_workers"] = round(time.monotonic() - began, 1)


def _nothing_quarantined(books: Books) -> str:
    return f"{len(books.reasons)} jobs were quarantined" if books.reasons else ""


def _no_more_than(books: Books, kind: str, count: int) -> str:
    heard = sum(word["say"] == kind for word in books.heard)
    return f"{heard} times {kind} for {count} jobs" if heard > count else ""


def _fate(books: Books, pill: str) -> str:
    return f"the pill is {books.states.get(pill)}({books.reasons.get(pill, '')}), not quarantined(poison)"


def _quarantined(scene: Scene, job: str) -> bool:
    try:
        until(
            lambda: scene.platform.jobs([job])[0].state == "quarantined",
            timeout_seconds=PATIENCE_SECONDS / 3,
        )
    except AssertionError:
        return False
    return True


def _limit(pid: int, what: int, soft: int) -> None:
    _, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (soft, hard))


def _descriptors(pid: int) -> list[int]:
    return [int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()]

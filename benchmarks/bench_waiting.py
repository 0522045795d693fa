"""1,000 jobs that wait two seconds, in one worker process: wall time and memory, bare Celery beside us.

Holdfast: `async def`, PostgreSQL or SQLite ledger, leases and attempt rows on. Bare Celery: threads
pool of 200, `time.sleep`, late acknowledgement, no result store. Both on the same fresh redis-server
(AOF, fsync every write), one after the other, alternating, `--rounds` times; medians and spread.

Run: `.venv/bin/python benchmarks/bench_waiting.py [--rounds 3] [--jobs 1000]`
"""

import argparse
import json
import os
import platform as machine
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from celery import Celery

from holdfast import __version__
from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import platform
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until

RESULTS = Path(__file__).with_name("results") / "bench_waiting.json"
SECONDS = 2.0
THREADS = 200
BARE = Celery("bare", set_as_current=False)
BARE.conf.update(
    broker_url=os.environ.get("BARE_BROKER_URL", "redis://"), task_acks_late=True, task_ignore_result=True,
    worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True,
)  # fmt: skip


@BARE.task(name="bare.wait")
def bare_wait(seconds: float, path: str) -> None:
    """Sleep, then leave a byte, since bare Celery has no result here."""
    time.sleep(seconds)  # noqa: TID251 -- what bare Celery offers to a job that waits
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b".")
    os.close(descriptor)


class PeakMemory:
    """Samples the proportional set size of a process and its children, in MB."""

    def __init__(self, pid: int) -> None:
        self.idle = _pss(pid)
        self.peak = self.idle
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return the peak."""
        self._stop.set()
        self._thread.join()
        return self.peak

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            self.peak = max(self.peak, _pss(self._pid))


def holdfast_round(jobs: int) -> dict[str, float]:
    """Run one round of ours on a fresh broker and a fresh SQLite ledger."""
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(appendonly=True) as redis,
        platform(Path(folder), broker_url=redis.url, database_url=f"sqlite:///{folder}/ledger.db") as made,
    ):
        worker = made.worker(worker_slots=jobs, beat_seconds=5.0, lease_seconds=20.0, log_level="warning")
        memory = PeakMemory(worker.pid)
        started = time.perf_counter()
        handles = sample_tasks.wait.enqueue_many_sync([(SECONDS,)] * jobs)
        enqueued = time.perf_counter()
        ids = [handle.id for handle in handles]
        until(
            lambda: sum(c.count for c in made.ledger.counts() if c.state is JobState.COMPLETED) == jobs,
            timeout_seconds=120,
        )
        ended = time.perf_counter()
        if any(job.attempt != 1 for job in made.jobs(ids)):
            raise RuntimeError("a job ran twice")
        return {
            "wall_s": ended - started,
            "enqueue_s": enqueued - started,
            "idle_pss_mb": memory.idle,
            "peak_pss_mb": memory.stop(),
        }


def bare_round(jobs: int) -> dict[str, float]:
    """Run one round of bare Celery on a fresh broker."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(appendonly=True) as redis:
        producer = Celery(broker=redis.url, set_as_current=False)
        producer.conf.task_ignore_result = True
        command = [sys.executable, "-m", "celery", "-A", "bench_waiting:BARE", "worker", "-P", "threads",
                   "-c", str(THREADS), "-l", "WARNING", "--without-gossip", "--without-mingle"]  # fmt: skip
        process = subprocess.Popen(
            command, cwd=Path(__file__).parent, env={**os.environ, "BARE_BROKER_URL": redis.url},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until(lambda: bool(producer.control.ping(timeout=0.5)), timeout_seconds=30, what="bare worker")
            memory = PeakMemory(process.pid)
            done = Path(folder) / "done"
            done.touch()
            started = time.perf_counter()
            for _ in range(jobs):
                producer.send_task("bare.wait", args=(SECONDS, str(done)))
            enqueued = time.perf_counter()
            until(lambda: done.stat().st_size == jobs, timeout_seconds=300)
            return {
                "wall_s": time.perf_counter() - started,
                "enqueue_s": enqueued - started,
                "idle_pss_mb": memory.idle,
                "peak_pss_mb": memory.stop(),
            }
        finally:
            process.terminate()
            process.wait(60)
            producer.close()


def main() -> None:
    """Alternate the two, print medians and spread, keep the numbers."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--jobs", type=int, default=1000)
    chosen = arguments.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {"holdfast": [], "bare_celery": []}
    for _ in range(chosen.rounds):
        rounds["holdfast"].append(holdfast_round(chosen.jobs))
        rounds["bare_celery"].append(bare_round(chosen.jobs))
    summary = {
        side: {name: _spread([one[name] for one in measured]) for name in measured[0]}
        for side, measured in rounds.items()
    }
    for side, numbers in summary.items():
        print(side, json.dumps(numbers))
    ratio = summary["holdfast"]["wall_s"]["median"] / summary["bare_celery"]["wall_s"]["median"]
    print(f"wall time, Holdfast / bare Celery: {ratio:.2f}")
    RESULTS.parent.mkdir(exist_ok=True)
    about = {"version": __version__, "jobs": chosen.jobs, "seconds": SECONDS, "cores": os.cpu_count(),
             "python": machine.python_version(), "kernel": machine.release()}  # fmt: skip
    RESULTS.write_text(json.dumps({"about": about, "summary": summary, "rounds": rounds}, indent=1) + "\n")


def _pss(pid: int) -> float:
    main_process = psutil.Process(pid)
    total = 0.0
    for process in [main_process, *main_process.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss / 1e6
        except psutil.Error:
            continue
    return total


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 2),
        "least": round(min(values), 2),
        "most": round(max(values), 2),
    }


if __name__ == "__main__":
    main()

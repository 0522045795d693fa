"""One process is asked for patience: no process of the fleet calls before that is over, and then all do."""

import contextlib
import http.server
import multiprocessing
import threading
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import RejectedError
from holdfast.resilience.breaker import reporter
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.sharing import share
from holdfast.tests.support.waiting import until

PROCESSES = 6
LONGEST = 4.0
POLICY = BreakerPolicy(longest_retry_after_seconds=LONGEST)
HEARD_SECONDS = 0.5
"""Until the last one has heard of it, with room for a busy machine: a push takes a few milliseconds."""
LAZY_SECONDS = 5.0
"""How often callers report successes here: so rarely that none hears of it by its own report."""
FORK = multiprocessing.get_context("fork")


def in_two_seconds() -> str:
    """Write a date that is at least two seconds away, as it has no fractions."""
    return format_datetime((SystemClock().now() + timedelta(seconds=3)).replace(microsecond=0), usegmt=True)


class Upstream(http.server.ThreadingHTTPServer):
    """Answers 200, and once 429 to whoever comes next after it was asked to."""

    daemon_threads = True

    def __init__(self, retry_after: Callable[[], str]) -> None:
        self.calls: list[float] = []
        self.retry_after = retry_after
        self.is_to_push = threading.Event()
        self.pushed_at = 0.0
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    """One call."""

    server: Upstream

    def do_GET(self) -> None:
        """Answer."""
        self.server.calls.append(time.monotonic())
        if self.server.is_to_push.is_set():
            self.server.is_to_push.clear()
            self.send_response(429)
            self.send_header("Retry-After", self.server.retry_after())
            self.server.pushed_at = time.monotonic()
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(retry_after: Callable[[], str]) -> Generator[Upstream]:
    """Serve from a thread for the length of a block."""
    with Upstream(retry_after) as upstream:
        thread = threading.Thread(target=upstream.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield upstream
        finally:
            upstream.shutdown()
            thread.join(10)


def caller(redis_url: str, port: int, ready: Any) -> None:
    """Call a hundred times a second, as far as the guard lets it."""
    reporter.LAZY_SECONDS = LAZY_SECONDS  # in this process alone
    fleet = Fleet()
    share(redis_url, namespace="test", fleet=fleet)
    guard = Guard("up", breaker=POLICY, retry=None, fleet=fleet)
    with httpx.Client() as client:

        def ask() -> None:
            client.get(f"http://127.0.0.1:{port}/").raise_for_status()

        ask()
        until(lambda: fleet.warm_up() and fleet.reporter.is_told, what="a first word of the store")
        ready.release()
        while True:
            with contextlib.suppress(RejectedError, httpx.HTTPStatusError):
                guard.call(ask)
            time.sleep(0.01)  # noqa: TID251 -- the pace of its calls


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(lambda: "2", 2.0), (in_two_seconds, 2.0), (lambda: "1000000000", LONGEST)],
    ids=["seconds", "date", "absurd"],
)
def test_what_one_process_is_asked_for_holds_for_all(
    redis_url: str, retry_after: Callable[[], str], seconds: float
):
    """Said in seconds or as a date; an absurd number is cut. Nobody asks again to find out."""
    ready = FORK.Semaphore(0)
    with serving(retry_after) as upstream:
        callers = [
            FORK.Process(target=caller, args=(redis_url, upstream.server_port, ready), daemon=True)
            for _ in range(PROCESSES)
        ]
        for one in callers:
            one.start()
        try:
            assert all(ready.acquire(timeout=30) for _ in callers)
            before = len(upstream.calls)
            until(lambda: len(upstream.calls) > before + 5 * PROCESSES, what="all to call")
            upstream.is_to_push.set()
            until(lambda: upstream.pushed_at, what="a pushback")
            until(
                lambda: upstream.calls[-1] > upstream.pushed_at + seconds,
                timeout_seconds=20,
                what="calls again",
            )
        finally:
            for one in callers:
                one.kill()
                one.join(5)
    since = [at - upstream.pushed_at for at in upstream.calls]
    early = [at for at in since if HEARD_SECONDS < at < seconds]
    again = min(at for at in since if at >= seconds)
    assert [] == early
    assert again < seconds + 2.0

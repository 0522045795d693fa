"""Running checks: bounded, side by side, errors turned into reports."""

import asyncio
import threading
from datetime import UTC, datetime

from holdfast.health import ComponentReport, Status, run_all
from holdfast.health.reporter import Reporter
from holdfast.health.threads import OneAtATime
from holdfast.jobs.errors import LedgerUnavailable
from holdfast.tests.support.waiting import until

AT = datetime(2026, 11, 23, tzinfo=UTC)
FINE = ComponentReport(Status.HEALTHY, 1.0, "fine")


class FixedClock:
    """A wall clock that stands still."""

    def now(self):
        """Give the one instant."""
        return AT

    def monotonic(self):
        """Stand still as well."""
        return 0.0


class Check:
    """A check made of a coroutine function."""

    def __init__(self, name, function):
        self.name = name
        self.check = function


async def _fine():
    return FINE


async def _hang():
    await asyncio.Event().wait()


async def _fail():
    raise LedgerUnavailable(detail="postgresql://user:hunter2@host/db is gone")


async def _time_out_by_itself():
    raise TimeoutError("the server's own")


def _run(*checks, deadline_seconds=5.0):
    return asyncio.run(run_all(checks, deadline_seconds=deadline_seconds, clock=FixedClock()))


def test_a_report_per_check():
    """Each check's answer stands under its name, with the time from the clock."""
    report = _run(Check("a", _fine), Check("b", _fine))
    assert {"a": FINE, "b": FINE} == report.components
    assert AT == report.timestamp


def test_hanging_check_is_unhealthy_and_delays_no_other():
    """A check that hangs is reported as timed out, and the others keep their answers."""
    report = _run(Check("slow", _hang), Check("good", _fine), deadline_seconds=0.05)
    assert ComponentReport(Status.UNHEALTHY, None, "timed out after 0.05 s") == report.components["slow"]
    assert FINE == report.components["good"]


def test_raising_check_is_unhealthy_without_secrets():
    """What a check raises becomes its detail, and a password in it does not."""
    found = _run(Check("database", _fail)).components["database"]
    assert Status.UNHEALTHY == found.status
    assert "is gone" in found.detail
    assert "hunter2" not in found.detail


def test_a_servers_own_timeout_is_told_apart():
    """A TimeoutError before the deadline is the component's own, not ours."""
    assert "the server's own" in _run(Check("a", _time_out_by_itself)).components["a"].detail


def test_hanging_function_costs_one_thread(caplog):
    """A function that hangs is not called again while it hangs, and ends no program late."""
    release, calls = threading.Event(), []

    def hang():
        calls.append(1)
        release.wait(30)
        return "done"

    once = OneAtATime(hang, name="test-hang")

    async def ask():
        try:
            return await asyncio.wait_for(once(), 0.02)
        except TimeoutError:
            return "late"

    assert ["late", "late", "late"] == [asyncio.run(ask()) for _ in range(3)]
    assert 1 == len(calls)
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "test-hang")
    release.set()
    until(lambda: not any(thread.name == "test-hang" for thread in threading.enumerate()))
    assert "done" == asyncio.run(ask())
    assert 2 == len(calls)
    assert "" == caplog.text


def test_askers_share_one_call_and_its_error():
    """Who asks while a call is under way gets its answer, an error included."""
    release, calls = threading.Event(), []

    def fail():
        calls.append(1)
        release.wait(30)
        raise ValueError("no")

    once = OneAtATime(fail, name="test-share")

    async def ask_thrice():
        asked = [asyncio.ensure_future(once()) for _ in range(3)]
        await asyncio.sleep(0)
        release.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    assert ["no", "no", "no"] == [str(error) for error in asyncio.run(ask_thrice())]
    assert 1 == len(calls)


def test_reporter_asks_once_for_many():
    """Ten askers within the cache's time cause one run of the checks."""
    runs = []

    async def count():
        runs.append(1)
        return FINE

    reporter = Reporter([Check("a", count)], deadline_seconds=1.0, fresh_seconds=60.0)
    threads = [threading.Thread(target=reporter.report) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == len(runs)


def test_reporter_asks_again_when_stale():
    """An answer older than the cache's time is not given again."""
    runs = []

    async def count():
        runs.append(1)
        return FINE

    reporter = Reporter([Check("a", count)], deadline_seconds=1.0, fresh_seconds=0.0)
    reporter.report()
    reporter.report()
    assert 2 == len(runs)

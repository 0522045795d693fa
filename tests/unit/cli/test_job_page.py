"""What `holdfast jobs show` shows of a failure."""

import sysconfig
from pathlib import Path

from rich.console import Console

import holdfast
from holdfast.cli.job_page import as_json, show, where_it_failed
from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import new_lease_token, new_worker_id
from holdfast.jobs.job import Attempt
from holdfast.jobs.lease import Fence
from holdfast.tests.support.builders import SOME_TIME, a_failure, a_job

OURS = Path(holdfast.__file__).parent / "workers" / "executor.py"
LIBRARY = Path(sysconfig.get_path("stdlib")) / "json" / "decoder.py"
TRACE = f"""Traceback (most recent call last):
  File "{OURS}", line 240, in body
    return await call()
  File "shop/mytasks.py", line 44, in boom
    return json.loads(text)
  File "{LIBRARY}", line 355, in raw_decode
    raise JSONDecodeError
json.decoder.JSONDecodeError: Expecting value
"""
FAILURE = Failure("json.decoder.JSONDecodeError", "Expecting value", TRACE)


def shown(**options) -> str:
    """Return the page of a failed job."""
    console = Console(width=200, record=True, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        show(console, a_job(failure=FAILURE), [], [], with_arguments=False, **options)
    return captured.get()


def test_the_line_of_the_users_own_code_is_named():
    """Neither our executor nor the library that raised, but the handler's line; the rest on request."""
    assert "shop/mytasks.py:44 in boom" == where_it_failed(FAILURE)
    assert "mytasks.py:44 in boom" in shown()
    assert "raise JSONDecodeError" not in shown()
    assert "raise JSONDecodeError" in shown(with_traceback=True)


def test_machines_get_the_whole_traceback():
    """JSON holds what the ledger holds."""
    page = as_json(a_job(failure=FAILURE), [], [], with_arguments=False)
    assert TRACE == page["failure"]["traceback"]


def test_a_failure_without_frames_has_no_place():
    """A failure may come from no Python code at all."""
    assert "" == where_it_failed(Failure("Retry", "later"))


def test_a_project_inside_our_checkout_is_the_users():
    """What is ours is told by our folders, not by the root of the repository."""
    root = Path(holdfast.__file__).parent
    trace = TRACE.replace("shop/mytasks.py", str(root / "shop" / "mytasks.py"))
    assert f"{root / 'shop' / 'mytasks.py'}:44 in boom" == where_it_failed(Failure("E", "m", trace))


def test_each_attempts_traceback_is_shown_once():
    """In the order of the attempts, and the job's own only if no attempt ended so."""
    first, last = a_failure("first"), a_failure("last")

    def attempt(number, failure):
        return Attempt(
            "j",
            new_lease_token(),
            1,
            number,
            Fence(1, number),
            new_worker_id(),
            SOME_TIME,
            SOME_TIME,
            "retry",
            failure,
        )

    def page(job_failure):
        console = Console(width=200)
        attempts = [attempt(1, first), attempt(2, None), attempt(3, last)]
        with console.capture() as captured:
            show(console, a_job(failure=job_failure), attempts, [], with_arguments=False, with_traceback=True)
        return captured.get()

    assert page(last).index("Attempt 1: ") < page(last).index("Attempt 3: ")
    assert "At the end" not in page(last)
    assert "At the end" in page(FAILURE)

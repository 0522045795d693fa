"""Errors travel between processes and say the same there."""

import copy

import pytest

from holdfast.jobs import errors


@pytest.mark.parametrize(
    "error",
    [
        errors.BreakerOpen(upstream="search", retry_after_seconds=2.5, detail="search is open: streak"),
        errors.JobNotFound(job_id="j", detail="gone", hint="look elsewhere"),
        errors.LedgerFailure(detail="ValueError: no"),
    ],
)
def test_an_error_survives_the_way_to_another_process(error):
    """Its class, its text and everything it says are the same."""
    back = copy.copy(error)  # by the same method as every way between processes
    assert (type(error), str(error), vars(error)) == (type(back), str(back), vars(back))

"""A worker that cannot start: what its operator reads."""

import logging

import pytest

from holdfast.jobs.errors import LedgerUnavailable
from holdfast.workers.starting import DOES_NOT_START, told_in_one_line


def refused():
    """Start without a database."""
    with told_in_one_line():
        raise LedgerUnavailable(detail="no such host")


def test_an_error_of_ours_is_one_line_and_an_exit_code(caplog):
    """With what to do, and without the way through Celery's boot."""
    with caplog.at_level(logging.INFO), pytest.raises(SystemExit) as ended:
        refused()
    assert DOES_NOT_START == ended.value.code
    (told,) = caplog.records
    assert (logging.CRITICAL, None) == (told.levelno, told.exc_info)
    assert "no such host. Try again" in told.getMessage()


def test_who_wants_to_know_where_gets_the_traceback(caplog):
    """With level DEBUG."""
    with caplog.at_level(logging.DEBUG), pytest.raises(SystemExit):
        refused()
    assert "LedgerUnavailable" in str(caplog.records[-1].exc_info)


def test_what_is_no_error_of_ours_keeps_its_traceback():
    """It is a bug, and somebody has to find it."""
    with pytest.raises(ZeroDivisionError), told_in_one_line():
        raise ZeroDivisionError

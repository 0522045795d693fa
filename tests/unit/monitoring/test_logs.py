"""Logs carry what happened, and no secrets."""

import io
import json
import logging

import pytest
import structlog

from holdfast.jobs.events import Events, JobClaimed, LeaseWasLost, WorkerStarted
from holdfast.monitoring.logs import NOT_SHOWN, LogEvents, bind_job, configure_logging

SECRET = "sk-live-0123456789abcdef"


@pytest.fixture
def lines():
    """Configured JSON logging; calling it gives the lines so far."""
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging(as_json=True, level="debug", secrets=["plainsecret"], stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], _ = before, root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def terminal():
    """Configured terminal logging; calling it gives the text so far."""
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging(as_json=False, level="info", stream=stream)
    yield stream.getvalue
    root.handlers[:], _ = before, root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_event_becomes_a_line(lines):
    """An event is one line: its name, its level, its fields."""
    Events(LogEvents()).emit(JobClaimed(job_id="j1", task="shop.pay", queue="default", attempt=2))
    (line,) = lines()
    assert "job_claimed" == line["event"]
    assert "debug" == line["level"]
    assert {"job_id": "j1", "task": "shop.pay", "attempt": 2}.items() <= line.items()
    assert line["timestamp"].endswith("Z")


def test_event_fields_cannot_collide_with_the_line(lines):
    """Fields named like keys of a log call are logged all the same."""
    Events(LogEvents()).emit(WorkerStarted(worker_id="w", name="here", slots=1, tasks=2))
    assert "here" == lines()[0]["name"]


def test_library_logs_go_the_same_way(lines):
    """The standard library's log calls are lines of the same shape."""
    logging.getLogger("celery.worker").warning("lost %d rings", 3)
    (line,) = lines()
    assert ("lost 3 rings", "warning", "celery.worker") == (line["event"], line["level"], line["logger"])


def test_job_is_bound_to_every_line(lines):
    """Inside a job every line names it, also those of libraries."""
    with bind_job(job_id="j1", task="shop.pay", attempt=3):
        logging.getLogger("somewhere").info("hello")
        structlog.get_logger().info("hello")
    logging.getLogger("somewhere").info("outside")
    inside, also, outside = lines()
    assert {"job_id": "j1", "task": "shop.pay", "attempt": 3}.items() <= inside.items()
    assert "j1" == also["job_id"]
    assert "job_id" not in outside


def test_secrets_are_taken_out_everywhere(lines):
    """No secret passes in messages, arguments, keys, exceptions, tracebacks or nested values."""
    log = logging.getLogger("user.code")
    log.info("calling with %s", SECRET)
    log.info("redis://:hunter22@host/0 and plainsecret")
    structlog.get_logger().info("call", api_key="whatever", nested={"a": [{"password": "hunter22"}]})
    try:
        raise ValueError(f"bad key {SECRET}")  # noqa: TRY301 -- the traceback is what the test is about
    except ValueError:
        log.exception("failed")
        structlog.get_logger().exception("failed too")
    text = json.dumps(lines())
    assert 5 == len(lines())
    assert "Traceback" in text
    for secret in (SECRET, "hunter22", "plainsecret", "whatever"):
        assert secret not in text


def test_payloads_of_celery_are_not_logged(lines):
    """Celery's own lines about a task show neither arguments nor the return value."""
    logging.getLogger("celery.app.trace").info(
        "Task %(name)s[%(id)s] succeeded: %(return_value)s",
        {"name": "shop.pay", "id": "1", "return_value": {"card": "4111"}, "args": "x"},
    )
    assert f"Task shop.pay[1] succeeded: {NOT_SHOWN}" == lines()[0]["event"]


def test_objects_are_redacted_after_they_became_text(lines):
    """An object whose text holds a secret does not smuggle it through."""

    class Account:
        def __str__(self):
            return f"Account(token={SECRET})"

    structlog.get_logger().info("opened", account=Account())
    assert SECRET not in json.dumps(lines())


def test_long_text_is_cut_in_the_middle(lines):
    """A value of a megabyte becomes a line of a few kilobytes, with its beginning and end."""
    logging.getLogger("x").info("begin %s end", "a" * 1_000_000)
    text = lines()[0]["event"]
    assert len(text) < 10_000
    assert text.startswith("begin")
    assert text.endswith("end")


def test_level_is_obeyed(terminal):
    """What is below the level is not logged, by neither way in."""
    Events(LogEvents()).emit(JobClaimed(job_id="j1", task="t", queue="q"))
    logging.getLogger("x").debug("no")
    assert "" == terminal()


def test_terminal_shows_control_characters(terminal):
    """A text from outside cannot steer a terminal, nor pose as a line of ours."""
    logging.getLogger("x").info("red \x1b[31m and\nforged line \x07")
    Events(LogEvents()).emit(LeaseWasLost(job_id="\x1b]0;title\x07", task="t", queue="q"))
    assert "\x1b" not in terminal()
    assert "\x07" not in terminal()
    assert "\nforged" not in terminal()


def test_terminal_shows_tracebacks_without_locals(terminal):
    """A traceback on a terminal has no values of variables."""
    hidden_value = "4111-2222"
    try:
        raise RuntimeError("no")  # noqa: TRY301 -- the traceback is what the test is about
    except RuntimeError:
        structlog.get_logger().exception("failed")
    assert "RuntimeError: no" in terminal()
    assert hidden_value not in terminal()


def test_configuring_twice_gives_one_line(lines):
    """Each event is logged once, however often logging was configured."""
    stream = io.StringIO()
    configure_logging(as_json=True, stream=stream)
    logging.getLogger("x").info("once")
    assert 1 == len(stream.getvalue().splitlines())
    assert [] == lines()

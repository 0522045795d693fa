"""Every Celery option has a row, every row is obeyed, and the docs show the rows."""

import inspect
from datetime import UTC, datetime
from pathlib import Path

import celery
import pytest
from kombu.messaging import Producer

from holdfast.jobs.errors import InvalidOption, UnsupportedOption
from holdfast.tasks.celery_options import TABLE, Verdict, as_markdown, translate
from holdfast.tasks.options import NO_OPTIONS, Options

SOON = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENT = Path(__file__).parents[3] / "docs" / "celery-options.md"

MAPPED = {
    "countdown": (5, Options(delay_seconds=5.0)),
    "eta": (SOON, Options(run_at=SOON)),
    "expires": (60, Options(deadline_seconds=60.0)),
    "queue": ("slow", Options(queue="slow")),
    "priority": (0, Options(priority=0)),
    "task_id": ("daily-1", Options(job_id="daily-1")),
    "time_limit": (10, Options(hard_timeout_seconds=10.0)),
    "soft_time_limit": (9.5, Options(soft_timeout_seconds=9.5)),
    "headers": ({"traceparent": "00-1-2-01"}, Options(trace="00-1-2-01")),
}
ALIKE = {"retry": False, "retry_policy": {"max_retries": 1}, "add_to_parent": False}


def rows(verdict: Verdict) -> list[str]:
    """Name the options of one verdict."""
    return [row.name for row in TABLE if row.verdict is verdict]


@pytest.mark.parametrize("name", rows(Verdict.MAPPED))
def test_a_mapped_option_means_what_it_says(name):
    """Celery's name, our field."""
    value, expected = MAPPED[name]
    assert expected == translate({name: value})
    assert NO_OPTIONS == translate({name: None})


@pytest.mark.parametrize("name", rows(Verdict.NO_EFFECT))
def test_a_harmless_option_is_accepted(name):
    """It has no meaning here and does no harm."""
    assert NO_OPTIONS == translate({name: ALIKE[name]})


@pytest.mark.parametrize("name", rows(Verdict.REFUSED))
def test_a_refused_option_names_our_way(name):
    """Nothing is dropped in silence; None and empty values say nothing and pass."""
    row = next(row for row in TABLE if row.name == name)
    with pytest.raises(UnsupportedOption) as caught:
        translate({name: "something"})

    assert row.note in str(caught.value)
    assert NO_OPTIONS == translate({name: None})
    assert NO_OPTIONS == translate({name: []})
    assert NO_OPTIONS == translate({name: row.harmless})


@pytest.mark.parametrize(
    ("name", "value"), [("ignore_result", False), ("serializer", "json"), ("retries", 0)]
)
def test_celerys_own_defaults_pass(name, value):
    """Code that spells a default out keeps working."""
    assert NO_OPTIONS == translate({name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("ignore_result", True), ("serializer", "pickle"), ("retries", 1)]
)
def test_other_values_do_not(name, value):
    """They would change what happens."""
    with pytest.raises(UnsupportedOption):
        translate({name: value})


@pytest.mark.parametrize(
    "options",
    [
        {"countdown": "soon"},
        {"countdown": -1},
        {"countdown": True},
        {"countdown": float("nan")},
        {"countdown": 400 * 24 * 3600},
        {"eta": "2026-01-01"},
        {"eta": datetime(2026, 1, 1)},  # noqa: DTZ001 -- that it has no time zone is the point
        {"countdown": 1, "eta": SOON},
        {"expires": 0},
        {"expires": datetime(2026, 1, 1)},  # noqa: DTZ001 -- that it has no time zone is the point
        {"priority": 10},
        {"priority": -1},
        {"task_id": "with space"},
        {"task_id": "x" * 256},
        {"time_limit": 0},
        {"queue": ""},
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(options):
    """Before anything is written."""
    with pytest.raises(InvalidOption):
        translate(options)


def test_expires_may_be_an_instant():
    """As in Celery."""
    assert Options(deadline_at=SOON) == translate({"expires": SOON})


@pytest.mark.parametrize("options", [{"headers": {"tenant": "x"}}, {"countdwon": 5}])
def test_the_unknown_is_refused(options):
    """Data does not travel in headers, and a typing error is no silence."""
    with pytest.raises(UnsupportedOption):
        translate(options)


def test_no_option_of_celery_is_missing():
    """When Celery grows an option, this test asks what it means here."""
    parameters = {
        name
        for function in (celery.Task.apply_async, celery.Celery.send_task, Producer.publish)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and parameter.kind.name != "VAR_POSITIONAL"
    }
    ours = {"self", "name", "args", "kwargs", "body"}

    assert set() == parameters - ours - {row.name for row in TABLE}


def test_the_document_shows_the_table():
    """The table in docs/celery-options.md is what `python -m holdfast.tasks.celery_options` prints."""
    assert as_markdown() in DOCUMENT.read_text(encoding="utf-8")

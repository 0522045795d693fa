"""`@task(schedule=...)`: what stands in the code is checked at import."""

from datetime import timedelta

import pytest

from holdfast.jobs.errors import InvalidOption, InvalidSchedule
from holdfast.jobs.schedules.missed import Missed
from holdfast.ledger.records import OfferRow
from holdfast.tasks import Registry, Schedule, task


def made(schedule, registry=None, **options):
    """A task with one argument and this schedule."""

    @task(
        name="shop.report",
        registry=Registry() if registry is None else registry,
        schedule=schedule,
        **options,
    )
    def report(region: str = "all") -> str:
        return region

    return report.spec


def test_a_rule_alone_is_a_schedule():
    """It has the task's name and queue, and no arguments."""
    (found,) = made("30 2 * * MON-FRI", queue="reports", version="3").schedules
    assert ("shop.report", "30 2 * * MON-FRI", "UTC", "reports", "3", "{}", Missed.ONE) == (
        found.name, found.rule, found.zone, found.queue, found.version, found.arguments, found.missed,
    )  # fmt: skip


def test_everything_that_can_be_said_is_said():
    """Arguments are checked with the task's types and written as strict JSON."""
    (found,) = made(
        Schedule(
            timedelta(minutes=90),
            name="eu",
            arguments={"region": "eu"},
            zone="Europe/Berlin",
            missed="all",
            queue="slow",
            priority=9,
            tenant="acme",
            deadline_seconds=600.0,
        ),
        isolated=True,
    ).schedules
    assert ("eu", "every 5400s", '{"region":"eu"}', "Europe/Berlin", Missed.ALL) == (
        found.name, found.rule, found.arguments, found.zone, found.missed,
    )  # fmt: skip
    assert ("slow", 9, "acme", 600.0, 1) == (
        found.queue, found.priority, found.tenant, found.deadline_seconds, found.cohort,
    )  # fmt: skip


def test_a_task_has_as_many_as_it_wants():
    """Each with a name of its own; the registry gives all of them, by name."""
    registry = Registry()
    made([Schedule("@daily", name="b"), Schedule("@daily", name="a", arguments=("eu",))], registry)
    assert ["a", "b"] == [one.name for one in registry.schedules()]
    assert '{"region":"eu"}' == registry.schedules()[0].arguments


def test_no_schedule_is_none():
    """Most tasks have none."""
    assert () == made(None).schedules == made([]).schedules


@pytest.mark.parametrize(
    "schedule",
    [
        "every day", "* * * *", timedelta(seconds=0.5), timedelta(0), timedelta(days=400),
        [Schedule("@daily"), Schedule("@hourly")],
    ],
)  # fmt: skip
def test_what_makes_no_sense_ends_the_import(schedule):
    """With an error that says which."""
    with pytest.raises(InvalidSchedule):
        made(schedule)


@pytest.mark.parametrize(
    "fields",
    [
        {"zone": "Mars/Olympus"}, {"missed": "maybe"}, {"name": "a b"}, {"queue": "no queue"},
        {"priority": 10}, {"tenant": ""}, {"deadline_seconds": -1.0}, {"deadline_seconds": 1e9},
    ],
)  # fmt: skip
def test_a_schedule_refuses_what_makes_no_sense_where_it_is_written(fields):
    """Not only when a task takes it."""
    with pytest.raises((InvalidSchedule, InvalidOption)):
        Schedule("@daily", **fields)


@pytest.mark.parametrize("arguments", [{"planet": "mars"}, {"region": 7}, ("a", "b"), "eu"])
def test_arguments_that_do_not_fit_end_the_import(arguments):
    """They name the task and the field, and show no value."""
    with pytest.raises(InvalidSchedule, match=r"shop\.report"):
        made(Schedule("@daily", arguments=arguments))


def test_two_tasks_cannot_have_schedules_of_one_name():
    """The name is one row of the ledger; the error names both places."""
    registry = Registry()
    made(Schedule("@daily", name="nightly"), registry)
    with pytest.raises(InvalidSchedule, match=r"nightly.*test_schedules"):

        @task(name="shop.other", registry=registry, schedule=Schedule("@daily", name="nightly"))
        def other() -> None: ...


def test_a_module_may_be_loaded_again():
    """As `importlib.reload` does."""
    registry = Registry()
    for _ in range(2):
        made("@daily", registry)
    assert 1 == len(registry.schedules())


def test_a_task_that_only_workers_know():
    """Its arguments are checked with the schema that they publish."""
    offer = OfferRow(
        "w", "w", "far.away", "7", "far", '{"properties":{"n":{"type":"integer"}}}', isolated=True
    )
    found = Schedule("@daily", arguments={"n": 1}).of_offer("mine", offer)
    assert ("mine", "far.away", "7", "far", '{"n":1}', 1) == (
        found.name, found.task, found.version, found.queue, found.arguments, found.cohort,
    )  # fmt: skip

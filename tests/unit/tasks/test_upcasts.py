"""Jobs of older versions of a task fit the handler that is here, or say why not."""

import json

import pytest

from holdfast.jobs.errors import InvalidArguments, InvalidOption, InvalidTask, JobQuarantined, UnknownTask
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.records import OfferRow
from holdfast.tasks import Registry, task
from holdfast.tasks.by_name import choose_offer
from holdfast.tasks.upcasts import Upcasts
from holdfast.testing import run_task_sync


def joined(arguments):
    """From version 1, which had two names, to version 2, which has one."""
    arguments["name"] = f"{arguments.pop('first')} {arguments.pop('last')}"
    return arguments


def excited(arguments):
    """From version 2 to version 3, which says how loud."""
    return {**arguments, "marks": 1}


def greeting(**options):
    """A task of version 3 that knows both older ones."""
    said = {"version": "3", "upcasts": {"1": joined, "2": excited}, **options}

    @task(name="tests.greeting", registry=Registry(), **said)
    async def greet(name: str, marks: int) -> str:
        return name + "!" * marks

    return greet


@pytest.mark.parametrize(
    ("version", "arguments"),
    [("1", {"first": "Ada", "last": "L."}), ("2", {"name": "Ada L."}), ("3", {"name": "Ada L.", "marks": 1})],
)
def test_a_job_of_each_version_runs(version, arguments):
    """An upcast leads to the next version, and so on to the task's own; the row keeps what was written."""
    outcome = run_task_sync(greeting(), written_as=version, **arguments)
    assert "Ada L.!" == outcome.result()
    assert (version, arguments) == (outcome.job.version, json.loads(outcome.job.arguments))


def test_the_types_are_checked_after_the_upcasts():
    """What they make has to fit the handler as arguments of a caller do."""
    outcome = run_task_sync(greeting(), written_as="2", name=7)
    assert (JobState.QUARANTINED, QuarantineReason.INVALID_PAYLOAD) == (outcome.state, outcome.reason)
    with pytest.raises(JobQuarantined, match="name: Input should be a valid string"):
        outcome.result()


def test_an_upcast_that_fails_is_told_once():
    """The job is in the quarantine after one attempt, with the step and the exception, and no value of it."""
    outcome = run_task_sync(greeting(), written_as="1", first="secret")
    assert (JobState.QUARANTINED, QuarantineReason.INVALID_PAYLOAD) == (outcome.state, outcome.reason)
    assert 1 == len(outcome.attempts)
    assert "from version 1 to 2 raised KeyError" in outcome.failure.message
    assert "secret" not in outcome.failure.message


def leaving(arguments):
    """Does what no function should."""
    raise SystemExit(arguments)


@pytest.mark.parametrize("upcast", [lambda arguments: None, lambda arguments: [arguments], leaving])
def test_an_upcast_that_misbehaves_ends_only_its_job(upcast):
    """No dict, or an attempt to end the process: the payload is invalid, and the worker goes on."""
    outcome = run_task_sync(greeting(version="2", upcasts={"1": upcast}), written_as="1", name="Ada")
    assert QuarantineReason.INVALID_PAYLOAD is outcome.reason


def test_what_an_upcast_makes_is_strict_json():
    """A value that JSON cannot hold would be another one for the next step."""
    chain = Upcasts.of("t", "2", {"1": lambda arguments: {"at": object()}})
    with pytest.raises(InvalidArguments, match=r"t: the upcast from version 1 to 2 raised InvalidJson"):
        chain.lift("1", {})


def test_the_kit_writes_no_version_that_nobody_runs():
    """Such a job would wait for ever; and the names of older arguments cannot be guessed."""
    with pytest.raises(InvalidOption, match="runs jobs of 1, 2, 3"):
        run_task_sync(greeting(), written_as="4", name="Ada")
    with pytest.raises(InvalidArguments, match="by position"):
        run_task_sync(greeting(), "Ada", written_as="2")


async def waiting(arguments):
    """An upcast that would have to wait."""
    return arguments


@pytest.mark.parametrize(
    ("version", "upcasts", "said"),
    [
        ("4", {"1": joined, "2": excited}, r"from version 2 to 4.*Add 3"),
        ("3", {"1": joined}, r"from version 1 to 3.*Add 2"),
        ("3", {"2": joined, "1": excited}, r"from version 2 to 1.*oldest first"),
        ("2", {"1": joined, "2": excited}, r"away from '2'.*ring"),
        ("1", {"2": joined}, r"from version 2 to 1"),
        ("2", {"": joined}, r"'' is no version"),
        ("2", {1: joined}, r"1 is no version"),
        ("", {}, r"'' is no version"),
        ("2", {"1": "joined"}, r"version 1 is no plain function"),
        ("2", {"1": waiting}, r"version 1 is no plain function"),
    ],
)
def test_mistakes_end_the_import(version, upcasts, said):
    """A gap, a ring, the wrong order, what is no version or no function: InvalidTask, which names it."""
    with pytest.raises(InvalidTask, match=f"(?s){said}"):
        greeting(version=version, upcasts=upcasts)


def test_versions_that_are_no_numbers_come_as_written():
    """Dates, say; there is no next one to miss."""
    chain = Upcasts.of("t", "2026-11", {"1": excited, "2026-05": joined}).chain
    assert ("1", "2026-05", "2026-11") == chain


def test_a_worker_offers_each_version_and_wants_new_jobs_of_its_own():
    """Who enqueues by name gets a version with a schema, though more workers run an older one."""
    old = greeting(version="1", upcasts=None)
    offers = [
        OfferRow(f"w{number}", f"w{number}", one.task, one.version, one.queue, one.schema)
        for number, made in enumerate([greeting(), greeting()])
        for one in made.spec.offers()
    ]
    assert ["3", "1", "2"] == [offer.version for offer in offers[:3]]
    assert "3" == choose_offer(offers, "tests.greeting").version
    first = OfferRow("w9", "w9", "tests.greeting", "1", "default", old.spec.offer().schema)
    # All three run version 1, and two run version 3.
    chosen = choose_offer([*offers, first], "tests.greeting")
    assert first is chosen
    with pytest.raises(UnknownTask):
        choose_offer(offers[1:3], "tests.greeting")

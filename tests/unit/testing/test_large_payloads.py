"""Large arguments and results pass through every way that a job is asked for, run and looked at."""

import json

import pytest

from holdfast.cli.job_page import as_json
from holdfast.jobs.claim_check import MARK, Reference, followed, is_large
from holdfast.jobs.errors import PayloadLost
from holdfast.tasks import Registry, TaskContext, task
from holdfast.testing import Platform
from holdfast.tests.support.child_tasks import same

LARGE = "x" * 70_000


def sample_tasks():
    """A task that returns its argument, and one that has children do so."""
    registry = Registry()

    @task(name="tests.echo", registry=registry)
    async def echo(text: str) -> str:
        return text

    @task(name="tests.ask", registry=registry)
    async def ask(ctx: TaskContext, texts: list[str]) -> list[str]:
        return await ctx.map(echo, [(text,) for text in texts])

    return registry, echo, ask


def test_an_echo_of_large_arguments():
    """Enqueue, claim, settle, and the handle's answer."""
    _, echo, _ = sample_tasks()
    with Platform() as platform:
        outcome = platform.run_task_sync(echo, LARGE)
        assert LARGE == outcome.result()
        assert {"text": LARGE} == platform.enqueued(echo)[0].arguments


def test_children_and_chains_pass_them_on():
    """A parent's plan, its children's results, and the result of one link as the next one's argument."""
    registry, _, ask = sample_tasks()
    with Platform(registry=registry) as platform:
        assert [LARGE, "small"] == platform.run_task_sync(ask, [LARGE, "small"]).result()
    with Platform() as platform:
        chain = same.then(same).enqueue_sync(LARGE)
        platform.drain_sync()
        assert LARGE == platform.outcome(chain).result()


def test_a_lost_result_is_named():
    """Whoever waits gets PayloadLost; whoever looks at the job sees the rest of it, and the reference."""
    _, echo, _ = sample_tasks()
    with Platform() as platform:
        outcome = platform.run_task_sync(echo, LARGE)
        with platform.session() as session:
            session.connection().exec_driver_sql("DELETE FROM payloads")
            session.commit()
        lost = platform.outcome(outcome.id)
        with pytest.raises(PayloadLost, match=r"the result of tests\.echo.*70002"):
            lost.result()
        assert as_json(lost.job, [], [], with_arguments=True)["result"].startswith(MARK)


@pytest.mark.parametrize(
    "text", ["{}", '"@payload 1 database 7 abc"', f"{MARK}2 database 7 {'0' * 64}", None]
)
def test_what_is_no_reference_is_read_as_none(text):
    """A payload, a text that only looks like one, a form of another version."""
    assert Reference.read(text) is None


def test_a_reference_is_no_payload():
    """It survives the row, fits only what it was made of, and cannot be taken for JSON."""
    reference = Reference.to(LARGE)
    assert reference == Reference.read(reference.text)
    assert reference.fits(LARGE)
    assert not reference.fits(LARGE + " ")
    with pytest.raises(json.JSONDecodeError):
        json.loads(reference.text)
    with pytest.raises(PayloadLost, match="the result of it"):
        followed(reference.text, what="the result of it")


@pytest.mark.parametrize(
    ("text", "answer"), [("x" * 8, False), ("x" * 9, True), ("\u00e4" * 5, True), ("", False)]
)
def test_the_limit_counts_bytes(text, answer):
    """As UTF-8, and the limit itself still fits."""
    assert answer is is_large(text, 8)

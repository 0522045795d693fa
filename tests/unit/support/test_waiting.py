"""Waiting for a condition."""

import asyncio

import pytest

from holdfast.tests.support.waiting import until, until_async


def test_gives_the_first_truthy_answer():
    """The answer itself comes back, so that a test can go on with it."""
    answers = iter([None, 0, "ready", "later"])
    assert until(lambda: next(answers)) == "ready"


def test_names_what_did_not_happen():
    """Giving up says what was waited for, how long, and the last answer."""
    with pytest.raises(AssertionError, match=r"waited 0\.01 s for rain; the last answer was 0"):
        until(lambda: 0, timeout_seconds=0.01, what="rain")


def test_errors_of_the_predicate_pass_through():
    """A broken question is not a slow answer."""
    with pytest.raises(KeyError):
        until(lambda: {}["missing"])


def test_waits_on_a_running_loop():
    """Other tasks of the loop go on while one waits."""

    async def scenario() -> bool:
        happened = asyncio.Event()
        asyncio.get_running_loop().call_soon(happened.set)

        async def has_happened() -> bool:
            return happened.is_set()

        return await until_async(has_happened, what="the event")

    assert asyncio.run(scenario()) is True

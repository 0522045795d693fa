"""What a worker and its isolated children say to each other arrives as it was."""

import asyncio
from datetime import UTC, datetime

import pytest

from holdfast.jobs.failure import Failure
from holdfast.jobs.outcome import Cancel, Completed, Crashed, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import QuarantineReason
from holdfast.tests.support.builders import a_claim, a_failure
from holdfast.workers.isolated import wire
from holdfast.workers.outcomes import outcome_as_json, outcome_of_json

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "outcome",
    [
        Completed('{"total": 3}'),
        Retry(1.5, a_failure()),
        Snooze(until=NOON, reason="later"),
        Park("upstream", "open", 7),
        Cancel("asked for"),
        Quarantine(QuarantineReason.PERMANENT, a_failure("no")),
        Quarantine(QuarantineReason.INVALID_RESULT),
        Crashed(Failure("x", "y", "z"), 3, is_alone=True),
    ],
)
def test_outcomes(outcome):
    """Each kind of outcome is the same on the other side."""
    assert outcome == outcome_of_json(outcome_as_json(outcome))


def test_claims():
    """A claim is the same on the other side, instants and fence included."""
    claim = a_claim(arguments='{"text": "\\u00e9"}', deadline_at=NOON, failure=a_failure())
    assert claim == wire.claim_of_json(wire.claim_as_json(claim))


def test_frames():
    """Messages of any size are read one by one; a line that is cut in the middle has ended."""

    async def run():
        reader = asyncio.StreamReader()
        large = {"text": "x" * 1_000_000}
        reader.feed_data(wire.frame({"a": 1}) + wire.frame(large) + wire.frame({"b": 2})[:-1])
        reader.feed_eof()
        assert [{"a": 1}, large, None] == [await wire.read(reader) for _ in range(3)]

    asyncio.run(run())

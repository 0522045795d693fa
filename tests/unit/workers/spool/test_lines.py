"""Outcomes as lines: what is read is what was written, and what is torn is known as such."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from holdfast.jobs.outcome import Cancel, Completed, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import QuarantineReason
from holdfast.ledger import endings
from holdfast.tests.support.builders import a_failure, a_lease, a_settlement
from holdfast.workers.spool import lines

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
OUTCOMES = [
    Completed('{"text":"a\\nb \\u0000 ü"}'),
    Completed("\udc80\x00"),
    Retry(5, a_failure()),
    Retry(0.1 + 0.2, a_failure("a\nb")),
    Snooze(2.5, None, "later"),
    Snooze(until=NOON),
    Snooze(until=NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))),
    Park("approval", "of the boss", 7),
    Cancel("not wanted"),
    Quarantine(QuarantineReason.PERMANENT, a_failure()),
    Quarantine(QuarantineReason.DEADLINE),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=repr)
def test_what_is_read_is_what_was_written(outcome):
    """Down to the digest by which the ledger knows a repetition."""
    written = a_settlement(a_lease(), outcome)
    (read,), torn = lines.read(lines.header() + lines.line_of(written))
    assert (written, 0) == (read, torn)
    assert endings.of_settlement(written).asked == endings.of_settlement(read).asked


def test_a_torn_tail_is_left_out_wherever_it_was_torn():
    """The death of the writer in the middle of a line costs that line alone, which nobody was told of."""
    whole = [a_settlement(a_lease()) for _ in range(2)]
    content = lines.header() + b"".join(map(lines.line_of, whole))
    last = lines.line_of(a_settlement(a_lease()))
    for size in range(1, len(last) - 1):
        assert (whole, 1) == lines.read(content + last[:size])


def test_a_line_that_was_changed_is_left_out():
    """A disk that lies is found out by the checksum."""
    first, second = (a_settlement(a_lease()) for _ in range(2))
    line = lines.line_of(first)
    assert ([second], 1) == lines.read(
        lines.header() + line.replace(b"Completed", b"completed") + lines.line_of(second)
    )


def test_another_versions_file_is_not_guessed_at():
    """It is left to the version that wrote it."""
    with pytest.raises(lines.UnknownFormat, match="99"):
        lines.read(lines._line({"format": 99}) + b"whatever")  # noqa: SLF001 -- a line with a right checksum


def test_a_file_without_its_first_line_holds_nothing():
    """Its process died before it had begun."""
    assert ([], 0) == lines.read(b"")
    assert ([], 1) == lines.read(lines.header()[:5])

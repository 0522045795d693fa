"""What tells a ring from a job of somebody else's."""

import pytest

from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Ring
from holdfast.tasks.doorbell import ring_headers, ring_of


def test_a_ring_names_its_ledger():
    """So that two platforms on one broker do not take each other's rings."""
    assert "ledger-1" == ring_of(ring_headers(Ring(JobId("j"), "t", "q"), "ledger-1"))


@pytest.mark.parametrize("headers", [None, {}, {"task": "t", "id": "j"}])
def test_a_message_without_the_mark_is_no_ring(headers):
    """It may be adopted."""
    assert ring_of(headers) is None


@pytest.mark.parametrize("mark", [None, 1, "ledger-1", {}, {"ledger": 5}])
def test_a_broken_mark_belongs_to_no_ledger(mark):
    """It is dropped, and never taken for a job without arguments."""
    assert "" == ring_of({"holdfast": mark})

"""A ticket is read back as it was written, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.resilience.breaker.ticket import LONGEST_TICKET, LONGEST_UPSTREAM, Ticket


@given(st.builds(Ticket, st.text(max_size=LONGEST_UPSTREAM), st.integers(0, 2**53), st.just("0f" * 8)))
def test_what_is_written_is_read(ticket):
    """Also with the separator in the upstream's name; and it fits its column."""
    assert ticket == Ticket.of(str(ticket))
    assert len(str(ticket)) <= LONGEST_TICKET


@pytest.mark.parametrize("text", [None, "", "1", "1|", "x||up", "-1||up", "²||up", "|"])
def test_nothing_else_is_a_ticket(text):
    """A row that somebody wrote by hand costs its job nothing but the ticket."""
    assert Ticket.of(text) is None

"""The arithmetic of hops."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.tasks.round_trip import complete_hops

MILLISECONDS = st.floats(0, 1e6)


def test_hops_add_up():
    """Enqueue, queue wait, run and result are the total; the database's two are part of the run."""
    hops = complete_hops(
        {"queue_wait": 7.0, "run": 3.0, "database_read": 1.0, "database_write": 1.5},
        enqueue_ms=4.0,
        publish_ms=2.0,
        total_ms=20.0,
    )
    assert {
        "enqueue": 4.0,
        "queue_wait": 5.0,
        "run": 3.0,
        "database_read": 1.0,
        "database_write": 1.5,
        "result": 8.0,
        "total": 20.0,
    } == hops


@given(MILLISECONDS, MILLISECONDS, MILLISECONDS, MILLISECONDS, MILLISECONDS)
def test_clocks_that_disagree_make_no_nonsense(queue_wait, run, enqueue, publish, rest):
    """However wrong the other host's clock is, no hop is negative and none is longer than the whole."""
    total = enqueue + run + rest
    hops = complete_hops(
        {"queue_wait": queue_wait, "run": run}, enqueue_ms=enqueue, publish_ms=publish, total_ms=total
    )
    assert all(0 <= hop <= total for hop in hops.values())

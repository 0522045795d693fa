"""A loop is stuck only if somebody watched it stand still, without a gap (B6)."""

from holdfast.workers.companion.stillness import GAP_SECONDS, Stillness


def watched(stillness: Stillness, tick: float, *instants: float) -> list[float]:
    """Look at the same tick at these instants."""
    return [stillness.look(tick, now) for now in instants]


def test_a_tick_that_does_not_change_is_stillness():
    """Counted from the first look that saw it."""
    assert [0.0, 1.0, 2.5] == watched(Stillness(), 7.0, 10.0, 11.0, 12.5)


def test_a_tick_that_changes_is_life():
    """Whatever the clock says that it stands for."""
    stillness = Stillness()
    watched(stillness, 7.0, 10.0, 12.0)
    assert [0.0, 1.0] == watched(stillness, 8.0, 13.0, 14.0)


def test_what_a_frozen_watcher_did_not_see_does_not_count():
    """Worker and companion stopped together for an hour: whoever wakes first kills nobody."""
    stillness = Stillness()
    watched(stillness, 7.0, 10.0, 10.25)
    frozen = 10.25 + 3600.0
    assert [0.0, 0.25] == watched(stillness, 7.0, frozen, frozen + 0.25)
    assert GAP_SECONDS < 3600.0


def test_a_slow_look_is_no_gap():
    """A busy machine that holds the watcher up for a second or two postpones nothing."""
    assert GAP_SECONDS == watched(Stillness(), 7.0, 10.0, 10.0 + GAP_SECONDS)[-1]

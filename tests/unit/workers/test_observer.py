"""Who is dead: judged by unchanged beats on the observer's own clock, and by nothing else (B4)."""

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import WorkerRow
from holdfast.tests.support.bench import NOON
from holdfast.workers.observer import Observer

LEASE = 20.0
BEAT = 5.0
ME = WorkerId("me")


def a_row(name, beat_seq=1, **fields):
    """A worker as the ledger shows it."""
    return WorkerRow(
        **{
            "id": WorkerId(name), "name": name, "host": "h", "pid": 1, "version": "1", "is_alive": True,
            "beat_seq": beat_seq, "started_at": NOON, "seen_at": NOON, "slots": 1, "queues": (), **fields,
        }
    )  # fmt: skip


def ids(rows):
    """Return who they are."""
    return [row.id for row in rows]


def watch(observer, rows, *, since=0.0, seconds):
    """Look with every beat for so long; return what the last look said."""
    dead, now = [], since
    while now <= since + seconds:
        dead = observer.look(rows, now)
        now += BEAT
    return dead


def test_an_unchanged_beat_for_a_whole_lease_is_death():
    """Not a moment earlier."""
    observer = Observer(ME, lease_seconds=LEASE)
    assert [] == watch(observer, [a_row("a")], seconds=LEASE - BEAT)
    assert ["a"] == ids(observer.look([a_row("a")], LEASE))


def test_a_beat_in_the_last_moment_saves():
    """Every change of the number begins the wait anew."""
    observer = Observer(ME, lease_seconds=LEASE)
    watch(observer, [a_row("a", 1)], seconds=LEASE - BEAT)
    assert [] == watch(observer, [a_row("a", 2)], since=LEASE, seconds=LEASE - BEAT)


def test_a_failover_that_takes_beats_back_is_a_change_too():
    """A smaller number is no silence."""
    observer = Observer(ME, lease_seconds=LEASE)
    watch(observer, [a_row("a", 7)], seconds=LEASE - BEAT)
    assert [] == observer.look([a_row("a", 6)], LEASE)


def test_a_number_that_comes_twice_is_a_beat_each_time():
    """The database forgot the last beat in a failover, and the next one has its number."""
    observer = Observer(ME, lease_seconds=LEASE)
    watch(observer, [a_row("a", 7)], seconds=LEASE - BEAT)
    again = a_row("a", 7, seen_at=NOON + timedelta(seconds=BEAT))
    assert [] == watch(observer, [again], since=LEASE, seconds=LEASE - BEAT)


def test_it_never_judges_itself_nor_the_dead():
    """Its own row and rows that are not alive are passed over."""
    observer = Observer(ME, lease_seconds=LEASE)
    rows = [a_row(ME), a_row("gone", is_alive=False)]
    assert [] == watch(observer, rows, seconds=3 * LEASE)


def test_a_massacre_waits_one_lease_more():
    """More than half, and more than two, silent at once is more likely an outage: wait, then act."""
    observer = Observer(ME, lease_seconds=LEASE)
    rows = [a_row(name) for name in "abc"] + [a_row("d", 1)]
    for now in range(0, int(2 * LEASE), int(BEAT)):
        beating = [*rows[:3], a_row("d", now)]
        assert [] == observer.look(beating, float(now)), now
    assert ["a", "b", "c"] == ids(observer.look([*rows[:3], a_row("d", 99)], 2 * LEASE))


def test_two_dead_workers_are_no_massacre():
    """A small fleet is not made to wait twice."""
    observer = Observer(ME, lease_seconds=LEASE)
    assert ["a", "b"] == ids(watch(observer, [a_row("a"), a_row("b")], seconds=LEASE))


def test_a_fleet_that_comes_back_ends_the_patience():
    """The next massacre is again given a lease of its own."""
    observer = Observer(ME, lease_seconds=LEASE)
    rows = [a_row(name) for name in "abc"]
    assert [] == watch(observer, rows, seconds=LEASE + BEAT)
    back = [a_row(name, 2) for name in "abc"]
    assert [] == watch(observer, back, since=LEASE + 2 * BEAT, seconds=LEASE)


def test_after_a_gap_of_its_own_everything_begins_anew():
    """Our missed beat proves nothing about others, whether it was said (`forget`) or only felt."""
    told = Observer(ME, lease_seconds=LEASE)
    watch(told, [a_row("a")], seconds=LEASE - BEAT)
    told.forget()
    assert [] == told.look([a_row("a")], LEASE)

    frozen = Observer(ME, lease_seconds=LEASE)
    frozen.look([a_row("a")], 0.0)
    assert [] == frozen.look([a_row("a")], 10 * LEASE), "the same freeze may have stopped the other one"
    assert ["a"] == ids(watch(frozen, [a_row("a")], since=10 * LEASE + BEAT, seconds=LEASE))


def test_a_worker_that_left_is_forgotten():
    """If the name of a row comes back, its silence is counted from then."""
    observer = Observer(ME, lease_seconds=LEASE)
    watch(observer, [a_row("a")], seconds=LEASE - BEAT)
    observer.look([], LEASE)
    assert [] == watch(observer, [a_row("a")], since=LEASE + BEAT, seconds=LEASE - BEAT)


@dataclass
class Other:
    """A simulated worker: when it beat last, and how often."""

    beats: int = 0
    beat_at: float = 0.0


STEPS = st.lists(
    st.tuples(
        st.floats(0.01, 2.5 * LEASE),  # time until the next look
        st.sets(st.integers(0, 4)),  # who beats before it
        st.sampled_from(["look", "look", "look", "forget"]),
    ),
    max_size=60,
)


@given(STEPS)
def test_nobody_who_beat_within_a_lease_is_ever_declared_dead(steps):
    """In any interleaving of beats, looks and gaps.

    And whoever is named was silent in every look of a lease.
    """
    observer = Observer(ME, lease_seconds=LEASE)
    others = {WorkerId(str(number)): Other() for number in range(5)}
    now = 0.0
    for wait, beating, what in steps:
        for number in beating:
            other = others[WorkerId(str(number))]
            other.beats, other.beat_at = other.beats + 1, now + wait / 2
        now += wait
        if what == "forget":
            observer.forget()
            continue
        rows = [a_row(name, other.beats) for name, other in others.items()]
        for dead in observer.look(rows, now):
            assert now - others[dead.id].beat_at >= LEASE


@given(st.integers(1, 5), st.integers(0, 5))
def test_whoever_is_silent_is_found_within_two_leases(silent, healthy):
    """With looks at each beat, death is declared after one lease, or two when it looks like a massacre."""
    observer = Observer(ME, lease_seconds=LEASE)
    found = set()
    for look in range(int(2 * LEASE / BEAT) + 1):
        rows = [a_row(f"s{n}") for n in range(silent)] + [a_row(f"h{n}", look) for n in range(healthy)]
        found |= set(ids(observer.look(rows, look * BEAT)))
    assert {f"s{n}" for n in range(silent)} == found

"""The chaos harness works: a cell is played end to end, and a result that is bad is told as bad."""

from collections import Counter

import pytest

from holdfast.tests.chaos import records, table
from holdfast.tests.chaos.catalogue import FAULTS, STACKS, Cell, Fault, cells
from holdfast.tests.chaos.judge import Books
from holdfast.tests.chaos.play import LATE, play
from holdfast.tests.chaos.scene import Scene, SharedServers
from holdfast.tests.chaos.tasks import work

SQLITE = STACKS[2]


def small(scene: Scene) -> None:
    """One worker is killed after the outside effects of ten jobs, and comes back."""
    scene.workers(1)
    scene.enqueue(work, [(0.1, 0.5)] * 10)
    scene.until_heard("keyed", 10)
    scene.fleet[0].kill_worker()
    scene.fault_ends()
    scene.until_done(40.0)


def books(**changes: object) -> Books:
    """The books of two jobs that went well, with changes."""
    heard = [{"say": kind, "job": job, "taken": True} for kind in ("raw", "keyed") for job in ("a", "b")]
    right = {
        "states": {"a": "completed", "b": "completed"},
        "reasons": {},
        "inside": Counter("ab"),
        "endings": Counter({("a", 0): 1, ("b", 0): 1}),
        "outcomes": Counter(completed=2),
        "heard": heard,
    }
    return Books(**{**right, **changes})


def test_a_cell_is_played_from_end_to_end():
    """Real servers, a real worker that is killed: nothing lost, nothing doubled but the raw effects."""
    shared = SharedServers()
    try:
        # The bound is for a quiet machine; here it is the harness that is tested.
        record = play(Cell(Fault("small", small, bound_seconds=None), SQLITE, 1), shared, "a commit")
    finally:
        shared.close()
    columns = record["columns"]
    assert ("pass", []) == (record["verdict"], record["wrong"])
    assert columns.pop("recovered_seconds") > 0
    assert 10 == columns.pop("doubled_raw"), "the gap that no one can close is shown"
    assert {0} == set(columns.values())
    assert ({"completed": 10, "lost": 10}, 1) == (record["outcomes"], record["restarts"])


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"states": {"a": "completed", "b": "running"}}, "lost"),
        ({"states": {"a": "completed"}}, "lost"),
        ({"inside": Counter("a")}, "lost"),
        ({"inside": Counter("aab")}, "doubled_inside"),
        ({"heard": [*books().heard, {"say": "keyed", "job": "a", "taken": True}]}, "doubled_with_key"),
        ({"heard": [*books().heard, {"say": "raw", "job": "a", "taken": True}]}, "doubled_raw"),
        ({"endings": Counter({("a", 0): 2, ("b", 0): 1})}, "doubled_final"),
    ],
)
def test_what_went_wrong_is_counted_in_its_column(changes, column):
    """One bad entry in the books is one in its column, and nowhere else."""
    counted = books(**changes).columns(["a", "b"], inside=True)
    assert {column: 1} == {name: count for name, count in counted.items() if count}


def test_a_repeated_effect_with_the_same_key_is_none():
    """What the receiver refused, since it knew the key, is no effect."""
    again = [*books().heard, {"say": "keyed", "job": "a", "taken": False}]
    assert {0} == set(books(heard=again).columns(["a", "b"], inside=True).values())


def test_a_failed_cell_stands_in_the_table(tmp_path):
    """The table shows the worst of the repetitions, and says what failed."""
    fault = FAULTS[0]
    for repetition, lost in ((1, 0), (2, 3)):
        record = {
            "fault": fault.name, "stack": SQLITE.name, "repetition": repetition, "commit": "abc",
            "date": "2026-11-26", "machine": "a machine", "verdict": "fail" if lost else "pass",
            "wrong": ["lost: 3"] if lost else [],
            "columns": {"lost": lost, "recovered_seconds": 1.5},
        }  # fmt: skip
        records.write(Cell(fault, SQLITE, repetition), record, tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", encoding="utf-8")
    table.write(page, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| F1 | SQLite + Redis | 3 | - | - | - | - | - | 1.5 (8) | **fail** (1 of 2) |" in text
    assert "- F1, sqlite+redis, repetition 2: lost: 3" in text


def test_who_is_only_late_is_told_from_who_broke_a_promise(tmp_path):
    """A cell whose columns are zero and whose seconds are not within the bound is late, and fails as well."""
    record = {
        "fault": "F1", "stack": SQLITE.name, "repetition": 1, "commit": "abc", "date": "2026-11-26",
        "machine": "a machine", "verdict": "fail", "wrong": [f"{LATE} 9 s, the bound is 8 s"], "columns": {},
    }  # fmt: skip
    records.write(Cell(FAULTS[0], SQLITE, 1), record, tmp_path)
    assert "| **late** (1 of 1) |" in table.render(tmp_path)


def test_every_fault_has_its_cells():
    """The faults of the acceptance, both networks and three clocks, on every stack that they fit."""
    names = {fault.name for fault in FAULTS}
    assert {f"F{number}" for number in range(1, 17)} | {"F2b", "F15mem"} <= names
    assert 23 == len(names)
    without_sqlite = {fault.name for fault in FAULTS if len(fault.stacks) == 2}
    # No network leads to SQLite, no clock is its own, and its driver for handlers needs threads.
    assert {"net-database", "F14", "F15mem", "clock-behind", "clock-ahead", "clock-jumps"} == without_sqlite
    assert 3 * 23 - len(without_sqlite) == len(cells(repetitions=1))
    assert all(fault.title for fault in FAULTS)

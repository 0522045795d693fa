"""The kernel's count of kills for want of memory: raised or not, and since when."""

from pathlib import Path

import pytest

from holdfast.workers.companion import memory
from holdfast.workers.companion.memory import OutOfMemoryCount


def test_a_raise_is_seen_for_two_looks():
    """A death is noticed a moment after it happened; a look in between must not hide why."""
    count = 3
    watch = OutOfMemoryCount(lambda: count)
    assert not watch.was_raised()
    count = 4
    assert watch.was_raised()
    watch.look()
    assert watch.was_raised()
    watch.look()
    assert not watch.was_raised()


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/shop/worker", "shop/worker/memory.events"),
        ("4:memory:/shop/worker\n0::/", "memory/shop/worker/memory.oom_control"),
        # In a container the path may be seen from outside, and the group from inside.
        ("0::/from/outside", "memory.events"),
    ],
)
def test_the_count_of_our_own_group_comes_first(tmp_path: Path, monkeypatch, groups: str, file: str):
    """Both versions of control groups; others of the machine may die of whatever they like."""
    (tmp_path / "groups").write_text(groups)
    (tmp_path / "vmstat").write_text("nr_free 1\noom_kill 100\n")
    counted = tmp_path / file
    counted.parent.mkdir(parents=True, exist_ok=True)
    counted.write_text("under_oom 0\noom_kill 1\n")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "_ROOT", tmp_path)
    monkeypatch.setattr(memory, "_MACHINE", tmp_path / "vmstat")
    watch = OutOfMemoryCount()
    (tmp_path / "vmstat").write_text("nr_free 1\noom_kill 101\n")
    assert not watch.was_raised()
    counted.write_text("under_oom 0\noom_kill 2\n")
    assert watch.was_raised()


def test_without_a_group_the_machines_count_is_taken(tmp_path: Path, monkeypatch):
    """And without that nothing is ever raised."""
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "none")
    monkeypatch.setattr(memory, "_MACHINE", tmp_path / "vmstat")
    assert not OutOfMemoryCount().was_raised()
    (tmp_path / "vmstat").write_text("oom_kill 1\n")
    watch = OutOfMemoryCount()
    (tmp_path / "vmstat").write_text("oom_kill 2\n")
    assert watch.was_raised()

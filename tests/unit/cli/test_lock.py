"""Never more than one platform on a data folder."""

import os
from pathlib import Path

import pytest

from holdfast.cli.errors import DataFolderUnusable, PlatformRunning
from holdfast.cli.supervisor.lock import PlatformLock


def test_the_second_is_refused_and_told_who_holds_it(tmp_path):
    """While one holds the folder another is refused, with the process that holds it; afterwards it may."""
    first, second = PlatformLock(tmp_path), PlatformLock(tmp_path)
    first.take()
    with pytest.raises(PlatformRunning, match=f"process {os.getpid()}"):
        second.take()
    first.give_back()
    second.take()
    second.give_back()


def test_a_file_left_by_a_crash_is_no_lock(tmp_path):
    """What counts is the kernel's lock, not the file that a crash left behind."""
    (tmp_path / "platform.lock").write_text("1\n")
    lock = PlatformLock(tmp_path)
    lock.take()
    lock.give_back()


@pytest.mark.parametrize("folder", ["file/below", "file"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path, folder):
    """Where no folder can be, the error names the path and the way out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderUnusable, match="file") as error:
        PlatformLock(tmp_path / folder).take()
    assert "--data-dir" in error.value.advice


def test_a_place_that_nobody_may_write_to_is_refused():
    """A folder that cannot be made, not even by root, is refused before anything is started."""
    with pytest.raises(DataFolderUnusable, match="/proc/holdfast"):
        PlatformLock(Path("/proc/holdfast")).take()


def test_giving_back_twice_is_fine(tmp_path):
    """A lock that was never taken, or is given back already, can be given back."""
    lock = PlatformLock(tmp_path)
    lock.give_back()
    lock.take()
    lock.give_back()
    lock.give_back()

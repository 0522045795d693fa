"""The spool's folder: private files, locked exactly as long as their process lives."""

import os
import select
import signal
import stat
from pathlib import Path

import pytest

from holdfast.workers.spool.folder import DiskFolder

HEAD = b"head\n"


@pytest.fixture
def folder(tmp_path):
    """A folder that is not there yet."""
    return DiskFolder(tmp_path / "data" / "spool")


@pytest.fixture
def other(folder):
    """The same folder, as another process sees it."""
    return DiskFolder(folder.path)


def child_that_holds(folder: DiskFolder, name: str) -> int:
    """Fork a process that makes a file and waits for its death."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        folder.create(name, HEAD).append(b"of a child\n")
        os.write(writer, b"!")
        signal.pause()
        os._exit(1)
    os.close(writer)
    assert select.select([reader], [], [], 30.0)[0]
    os.close(reader)
    return child


def test_only_its_owner_can_read_a_file(folder):
    """Results stand in it in clear: 0600, in folders of 0700."""
    folder.create("a", HEAD)
    (file,) = folder.path.iterdir()
    assert (0o600, HEAD) == (stat.S_IMODE(file.stat().st_mode), file.read_bytes())
    assert [0o700, 0o700] == [stat.S_IMODE(p.stat().st_mode) for p in (folder.path, folder.path.parent)]


def test_a_living_processs_file_is_not_taken_and_a_dead_ones_is(folder):
    """The kernel ends the lock however the process ends; whoever takes it reads what was flushed."""
    child = child_that_holds(folder, "a")
    try:
        assert ["a"] == folder.names("")
        assert folder.take("a") is None
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    file = folder.take("a")
    assert file is not None
    assert HEAD + b"of a child\n" == file.read()
    file.remove()
    assert [] == folder.names("")


def test_a_file_has_one_heir(folder):
    """Also among the threads of a process, for which the kernel's lock is no lock; until it is let go."""
    child = child_that_holds(folder, "a")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    first = folder.take("a")
    assert first is not None
    assert folder.take("a") is None
    assert [] == folder.names("")
    first.release()
    first.release()
    assert ["a"] == folder.names("")
    again = folder.take("a")
    assert again is not None
    again.remove()
    assert folder.take("a") is None


def test_ones_own_file_is_not_ones_heritage(folder):
    """A worker that looks for the files of the dead leaves its own alone."""
    file = folder.create("mine", HEAD)
    assert ([], None) == (folder.names(""), folder.take("mine"))
    file.remove()
    assert [] == list(folder.path.iterdir())


def test_files_are_found_by_how_their_name_begins(folder, other):
    """Each ledger's, or each process's, and nothing else that lies there."""
    folder.create("a.1", HEAD)
    folder.create("b.1", HEAD)
    (folder.path / "a.note").write_text("mine")
    assert ["a.1"] == other.names("a.")


def test_what_could_not_be_written_whole_is_not_there(folder, monkeypatch):
    """A full disk leaves the file as it was, and the next outcome goes where this one did not."""
    file = folder.create("a", HEAD)
    write = os.pwrite

    def half(descriptor, data, offset):
        write(descriptor, data[: len(data) // 2], offset)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(OSError, match="No space"):
        file.append(b"torn in two\n")
    monkeypatch.undo()
    assert HEAD == file.read()
    file.append(b"whole\n")
    assert HEAD + b"whole\n" == file.read()
    file.truncate(len(HEAD))
    file.append(b"new\n")
    assert HEAD + b"new\n" == Path(folder.path / "a.spool").read_bytes()


def test_a_file_that_cannot_be_begun_leaves_nothing(folder, monkeypatch):
    """The next try finds the folder as it was."""
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input"):
        folder.create("a", HEAD)
    monkeypatch.undo()
    assert [] == list(folder.path.iterdir())
    assert HEAD == folder.create("a", HEAD).read()

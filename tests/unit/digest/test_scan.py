"""What a folder holds, and what is named as skipped."""

import errno
import os
import shutil
import subprocess

import pytest

from holdfast.tasks.agents.digest import read_document, scan, scan_texts
from holdfast.tasks.agents.digest.document import Kind, NamedText, SkipReason, UnreadableDocument


@pytest.fixture
def folder(tmp_path):
    """A folder with one readable document."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nThe worker takes a job.\n")
    return tmp_path / "docs"


def test_documents_are_found_and_sorted(folder):
    """Every supported kind is found by its suffix, other files are counted."""
    names = [
        "b.txt",
        "c.MD",
        "d.markdown",
        "e.rst",
        "f.html",
        "g.htm",
        "h.py",
        "sub/README",
        "x.json",
        "sub/y.png",
    ]
    (folder / "sub").mkdir()
    for name in names:
        (folder / name).write_text(f"text of {name}")
    found = scan(folder)
    assert sorted(["a.md", *names[:8]]) == [document.path for document in found.documents]
    assert 2 == found.other_files
    assert ("sub/y.png", "x.json") == found.other_names
    assert () == found.skipped
    assert Kind.TEXT == {document.path: document.kind for document in found.documents}["sub/README"]


def test_each_unreadable_file_is_named_with_its_reason(folder, tmp_path):
    """One bad file costs nothing but itself."""
    (folder / "empty.txt").touch()
    (folder / "blank.txt").write_text(" \n")
    (folder / "binary.txt").write_bytes(b"ab\0cd")
    (folder / "late.txt").write_bytes(b"a" * 20_000 + b"\0")
    (folder / "latin.txt").write_bytes("Gr\u00fc\u00dfe\n".encode("latin-1"))
    (folder / "wide.txt").write_bytes("text".encode("utf-16"))
    (folder / "false.pdf").write_text("no PDF at all")
    (folder / "pipe.txt").unlink(missing_ok=True)
    os.mkfifo(folder / "pipe.txt")
    with (folder / "huge.txt").open("wb") as huge:
        huge.truncate(10 * 1024 * 1024 + 1)
    (tmp_path / "secret.txt").write_text("outside")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "dangling.txt").symlink_to(folder / "nothing.txt")
    (folder / "new\nline.txt").write_text("text")
    found = scan(folder)
    assert ["a.md"] == [document.path for document in found.documents]
    assert {
        "binary.txt": SkipReason.BINARY,
        "blank.txt": SkipReason.EMPTY,
        "dangling.txt": SkipReason.UNREADABLE,
        "empty.txt": SkipReason.EMPTY,
        "false.pdf": SkipReason.UNREADABLE,
        "huge.txt": SkipReason.TOO_LARGE,
        "late.txt": SkipReason.BINARY,
        "latin.txt": SkipReason.NOT_UTF8,
        "link.txt": SkipReason.OUTSIDE_FOLDER,
        "new\\x0aline.txt": SkipReason.BAD_NAME,
        "pipe.txt": SkipReason.SPECIAL_FILE,
        "wide.txt": SkipReason.NOT_UTF8,
    } == {each.path: each.reason for each in found.skipped}
    assert all(each.detail for each in found.skipped)


@pytest.fixture
def closed(folder, monkeypatch):
    """A subfolder that nobody may enter, not even root."""
    place = folder / "closed"
    place.mkdir()

    def refuses(name, call):
        def guarded(path, *rest, **options):
            if str(path).startswith(str(place)) and (name == "scandir" or str(path) != str(place)):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return call(path, *rest, **options)

        return guarded

    for name in ("stat", "lstat", "scandir", "open"):
        monkeypatch.setattr(os, name, refuses(name, getattr(os, name)))
    return place


def test_a_closed_folder_loses_only_itself(folder, closed):
    """A subfolder that cannot be entered is named as unreadable, the rest is found."""
    (folder / "later.md").write_text("# Later\n")
    found = scan(folder)
    assert ["a.md", "later.md"] == [document.path for document in found.documents]
    assert [("closed/", SkipReason.UNREADABLE)] == [(each.path, each.reason) for each in found.skipped]
    assert "permission denied" in found.skipped[0].detail


def test_many_files_of_other_kinds_are_named_up_to_a_bound(folder):
    """The first fifty are named, all are counted."""
    for number in range(60):
        (folder / f"{number:02}.json").touch()
    found = scan(folder)
    assert 60 == found.other_files
    assert tuple(f"{number:02}.json" for number in range(50)) == found.other_names


@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-32", "WINDOWS-1252"])
def test_the_hint_for_another_encoding_is_a_command_that_mends_it(folder, encoding):
    """The command in the hint, run in the folder, makes a document that can be read."""
    if shutil.which("iconv") is None:
        pytest.skip("needs iconv")
    (folder / "the old's.txt").write_bytes("Gr\u00fc\u00dfe vom Hafen.\n".encode(encoding))
    (skipped,) = scan(folder).skipped
    subprocess.run(["/bin/sh", "-c", skipped.detail.split("`")[1]], cwd=folder, check=True)
    assert "Gr\u00fc\u00dfe vom Hafen.\n" == (folder / "the old's.utf8.txt").read_text(encoding="utf-8")
    assert "the old's.utf8.txt" in [document.path for document in scan(folder).documents]


def test_hidden_cache_and_environment_folders_are_passed_over(folder, tmp_path):
    """What people do not mean by their documents is not read, and no link leads out."""
    for name in (".git", "__pycache__", "node_modules", "env", "x.dist-info"):
        (folder / name).mkdir()
        (folder / name / "no.md").write_text("No.")
    (folder / "env" / "pyvenv.cfg").touch()
    (folder / ".hidden.md").write_text("No.")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "no.md").write_text("No.")
    (folder / "linked").symlink_to(tmp_path / "other")
    (folder / "loop").symlink_to(folder)
    assert ["a.md"] == [document.path for document in scan(folder).documents]


def test_equal_content_is_one_piece_of_work(folder):
    """Copies keep their paths and share their key; another kind of reading is other work."""
    text = (folder / "a.md").read_text()
    (folder / "b.md").write_text(text)
    (folder / "c.txt").write_text(text)
    found = scan(folder)
    assert 3 == len(found.documents)
    assert ["a.md", "c.txt"] == [document.path for document in found.units()]


def test_a_file_changed_after_the_scan_is_refused(folder):
    """Work is done on what the scan saw, or not at all."""
    (document,) = scan(folder).documents
    assert b"# A\n\nThe worker takes a job.\n" == read_document(folder, document)
    (folder / "a.md").write_text("changed")
    with pytest.raises(UnreadableDocument, match="changed after the scan"):
        read_document(folder, document)
    (folder / "a.md").unlink()
    with pytest.raises(UnreadableDocument, match="no such file"):
        read_document(folder, document)


def test_a_path_outside_is_never_read(folder, tmp_path):
    """A document that claims a path above the folder is refused."""
    (document,) = scan(folder).documents
    (tmp_path / "secret.txt").write_text("outside")
    with pytest.raises(UnreadableDocument, match="outside the folder"):
        read_document(folder, document.model_copy(update={"path": "../secret.txt"}))


def test_texts_in_memory_are_judged_like_files():
    """Documents that are no files get references and reasons as well."""
    found = scan_texts([NamedText("a.md", "# A"), NamedText("b.rst", ""), NamedText("c.bin", "x")])
    assert ["a.md"] == [document.path for document in found.documents]
    assert [SkipReason.EMPTY] == [each.reason for each in found.skipped]
    assert 1 == found.other_files


def test_no_folder_is_a_clear_error(tmp_path):
    """A path that is no folder says so."""
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        scan(tmp_path / "missing")

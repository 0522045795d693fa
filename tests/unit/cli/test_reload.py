"""Noticing changed code."""

from holdfast.cli.supervisor.reload import CodeWatch, roots_of


def test_a_package_is_watched_as_a_whole(tmp_path):
    """Naming a module of a package watches all of its .py files: added, changed, removed."""
    package = tmp_path / "shop"
    (package / "deep").mkdir(parents=True)
    (package / "tasks.py").write_text("a = 1")
    watch = CodeWatch(roots_of(["shop.tasks"], [str(tmp_path)]))
    assert () == watch.changed()
    (package / "tasks.py").write_text("a = 1000")
    (package / "deep" / "new.py").write_text("")
    (package / "notes.txt").write_text("")
    assert (package / "deep" / "new.py", package / "tasks.py") == watch.changed()
    (package / "tasks.py").unlink()
    assert (package / "tasks.py",) == watch.changed()
    assert () == watch.changed()


def test_a_module_of_one_file_is_watched(tmp_path):
    """A module that is a file is found, one that is nowhere is left out, and nothing is imported."""
    (tmp_path / "jobs_of_mine.py").write_text("raise SystemExit")
    assert [tmp_path / "jobs_of_mine.py"] == roots_of(["jobs_of_mine", "nowhere.at_all"], [str(tmp_path)])

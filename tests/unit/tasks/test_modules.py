"""User modules are loaded, or the start stops with file and line."""

import sys

import pytest

from holdfast.jobs.errors import InvalidTask, SettingsError
from holdfast.tasks.modules import load_modules


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder on the path, into which a test writes modules."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_named_modules_are_imported_in_order(project):
    """Each once."""
    (project / "shop_a.py").write_text("NAME = 'a'\n")
    (project / "shop_b.py").write_text("NAME = 'b'\n")

    loaded = load_modules(["shop_b", "shop_a", "shop_b"], with_entry_points=False)

    assert ["b", "a"] == [module.NAME for module in loaded]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1\n1 / 0\n", "ZeroDivisionError: division by zero ({file}:2)"),
        ("import shop_nowhere\n", "No module named 'shop_nowhere' ({file}:1)"),
        ("def broken(:\n", "SyntaxError"),
        ("from holdfast import task\n\n\n@task\ndef bad(*many: int): ...\n", "{file}:4"),
    ],
)
def test_a_module_that_fails_is_named_with_file_and_line(project, source, expected):
    """The operator need not read a traceback; the original is chained for who wants to."""
    file = project / "shop_bad.py"
    file.write_text(source)

    with pytest.raises(SettingsError) as caught:
        load_modules(["shop_bad"], with_entry_points=False)

    assert expected.format(file=file) in str(caught.value)
    assert "shop_bad" in str(caught.value)
    assert caught.value.__cause__ is not None


def test_two_modules_with_one_task_name_stop_the_start(project):
    """Both places are in the message."""
    for name in ("shop_one", "shop_two"):
        (project / f"{name}.py").write_text(
            "from holdfast import task\n\n\n@task(name='shop.same')\ndef same(): ...\n"
        )

    with pytest.raises(SettingsError) as caught:
        load_modules(["shop_one", "shop_two"], with_entry_points=False)

    assert isinstance(caught.value.__cause__, InvalidTask)
    assert "shop_one.py" in str(caught.value)
    assert "shop_two.py" in str(caught.value)


@pytest.mark.parametrize("name", ["shop_missing", "shop_missing.tasks"])
def test_a_module_that_is_not_there_is_said_plainly(project, name):
    """The commonest fault of a first start."""
    with pytest.raises(SettingsError, match="is not there"):
        load_modules([name], with_entry_points=False)


def test_installed_packages_announce_their_tasks(project):
    """The entry point group is `holdfast.tasks`."""
    (project / "shop_plugin.py").write_text("NAME = 'plugin'\n")
    info = project / "shop_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[holdfast.tasks]\nshop = shop_plugin\n")

    assert "shop_plugin" in [module.__name__ for module in load_modules([])]

"""The wheel holds the package, all of it, and nothing else."""

import re
import tomllib
import zipfile
from pathlib import Path

import holdfast
from holdfast.tests.support.repository import NO_CODE, ROOT, files

DATA = {".css", ".html", ".js", ".lua", ".mako"}
NOT_IN_THE_WHEEL = {*NO_CODE, ".ci", ".types", ".venv"}


def test_the_list_of_packages_is_complete():
    """Each folder with code or data has its line in pyproject.toml, and no line points nowhere."""
    listed = _pyproject()["tool"]["setuptools"]["packages"]
    assert sorted(listed) == listed
    assert _folders_of_the_package() == listed


def test_the_version_stands_in_both_places():
    """The package and its metadata agree on the version, and the changelog has a section for it."""
    assert _pyproject()["project"]["version"] == holdfast.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(holdfast.__version__)}\b", changelog, re.MULTILINE)


def test_make_targets_named_in_the_documents_exist():
    """Every `make something` in a document can be typed."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        name
        for path in files()
        if path.suffix == ".md"
        for name in re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf-8"))
    }
    assert set() == named - targets


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    """Every file of the package is in the wheel: code, migrations, scripts, pages, the typing marker."""
    expected = {
        str(Path("holdfast") / path.relative_to(ROOT))
        for path in files()
        if path.suffix in {".py", *DATA} and path.relative_to(ROOT).parts[0] not in NOT_IN_THE_WHEEL
    }
    expected.add("holdfast/py.typed")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = {Path(name).name for name in archive.namelist() if ".dist-info/" in name}
    assert expected == held
    assert {"LICENSE", "NOTICE", "METADATA", "entry_points.txt"} <= metadata


def _folders_of_the_package() -> list[str]:
    folders = {
        path.relative_to(ROOT).parent
        for path in files()
        if path.suffix in {".py", *DATA} and path.relative_to(ROOT).parts[0] not in NOT_IN_THE_WHEEL
    }
    return sorted(".".join(("holdfast", *folder.parts)) for folder in folders)


def _pyproject() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

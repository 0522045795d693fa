"""The installed wheel in a project that has its own tasks.py, settings.py and workers.py."""

import os
import subprocess
import sys

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
import holdfast
not_modules = ("holdfast.workers.app", "holdfast.ledger.migrations.")  # they act when they are imported
names = [
    found.name
    for found in pkgutil.walk_packages(holdfast.__path__, "holdfast.")
    if not found.name.startswith(not_modules) and not found.name.endswith("__main__")
]
for name in names:
    importlib.import_module(name)
assert not {"tasks", "settings", "workers"} & set(sys.modules), "a module of the user's was imported"
print(holdfast.__file__, len(names))
"""


def test_every_module_imports_beside_modules_of_the_same_name(wheel, tmp_path):
    """Nothing of ours is found under, or looks for, the names that the user's project has."""
    site = tmp_path / "site"
    project = tmp_path / "project"
    project.mkdir()
    for name in ("tasks", "settings", "workers", "jobs", "health"):
        (project / f"{name}.py").write_text(f"raise AssertionError('{name} of the user')\n", encoding="utf-8")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            "--target",
            str(site),
            str(wheel),
        ],
        check=True,
    )
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(site), "HOLDFAST_ENV": "development"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == run.returncode, run.stderr
    place, count = run.stdout.split()
    assert place.startswith(str(site))
    assert int(count) > 100

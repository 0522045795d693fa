"""The installed wheel in a project that has its own tasks.py, settings.py and workers.py."""

import os
import subprocess
import sys
from pathlib import Path

from holdfast.ledger import LedgerConfig
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support.worker import WorkerServer, worker_environment

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
    install(wheel, site)
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


def test_a_job_of_a_foreign_project_runs(wheel, tmp_path, redis_url, sqlite_url):
    """The wheel's worker runs a task of the user's own tasks.py, enqueued by a script of the user's."""
    site, project = tmp_path / "site", tmp_path / "project"
    project.mkdir()
    install(wheel, site)
    (project / "tasks.py").write_text(TASKS, encoding="utf-8")
    (project / "settings.py").write_text("DEBUG = True\n", encoding="utf-8")
    (project / "workers.py").write_text("COUNT = 4\n", encoding="utf-8")
    (project / "produce.py").write_text(PRODUCER, encoding="utf-8")
    migrate(LedgerConfig(url=sqlite_url, schema="holdfast"))
    environment = {
        **worker_environment(project, broker_url=redis_url, database_url=sqlite_url, task_modules="tasks"),
        "PYTHONPATH": os.pathsep.join([str(site), str(project)]),
    }
    with WorkerServer(environment):
        run = subprocess.run(
            [sys.executable, "produce.py"],
            cwd=project, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert 0 == run.returncode, run.stderr
    place, answer = run.stdout.split(maxsplit=1)
    assert place.startswith(str(site))
    assert "Hello, Ada, from 4 workers" == answer.strip()


TASKS = """
import settings, workers
from holdfast import task

@task
async def greet(name: str) -> str:
    return f"Hello, {name}, from {workers.COUNT} workers"
"""

PRODUCER = """
import holdfast
from tasks import greet

with holdfast.connect():
    print(holdfast.__file__, greet.enqueue_sync("Ada").result_sync(timeout_seconds=30))
"""


def install(wheel: Path, site: Path) -> None:
    """Install the wheel alone into a folder of its own."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, str(site), str(wheel)], check=True)

"""What the documents show is run: modules by a real worker, programs against it."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from holdfast.jobs.ids import new_job_id
from holdfast.jobs.job import NewJob
from holdfast.ledger import LedgerConfig, connect
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support import documents, run_programs
from holdfast.tests.support.documents import Snippet
from holdfast.tests.support.repository import ROOT
from holdfast.tests.support.servers import PostgresServer, RedisServer
from holdfast.tests.support.worker import WorkerServer, worker_environment

DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "docs" / "guide.md",
    ROOT / "docs" / "tasks.md",
    ROOT / "docs" / "errors.md",
)
SNIPPETS = [one for document in DOCUMENTS for one in documents.snippets(document) if one.language == "python"]
PROGRAMS = [one for one in SNIPPETS if one.module is None]
README_PROGRAM = next(one for one in PROGRAMS if one.name == "producer")
OTHER_PROGRAMS = [one for one in PROGRAMS if one is not README_PROGRAM]
TABLES = "CREATE TABLE customers (name TEXT); CREATE TABLE bookings (order_id INTEGER)"
ROLES = ("shop_owner", "shop_worker")
ALL_OF_THEM_SECONDS = 60


@dataclass
class Stage:
    """A folder with the documents' modules and programs, and the variables of a platform that runs."""

    folder: Path
    variables: dict[str, str]
    worker: WorkerServer
    ran: dict[str, tuple[str, str]] = field(default_factory=dict)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program in the folder, as its reader does."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env={**others, **self.variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=ALL_OF_THEM_SECONDS,
        )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One worker that serves every module of the documents."""
    folder = tmp_path_factory.mktemp("reader")
    modules = _write(folder)
    database = folder / "ledger.sqlite3"
    url = f"sqlite:///{database}"
    migrate(LedgerConfig(url=url, schema="holdfast"))
    with sqlite3.connect(database) as connection:
        connection.executescript(TABLES)
    connection.close()
    with RedisServer() as broker:
        settings = worker_environment(
            folder, broker_url=broker.url, database_url=url, task_modules=",".join(modules)
        )
        variables = {
            **settings,
            "PYTHONPATH": str(folder),
            "SHOP_DATABASE_URL": f"sqlite+aiosqlite:///{database}",
        }
        with WorkerServer(variables) as worker:
            yield Stage(folder, variables, worker)


@pytest.fixture(scope="module")
def ran(stage: Stage) -> dict[str, tuple[str, str]]:
    """What each program but the README's printed and raised; one process runs all that it can."""
    together = [one for one in OTHER_PROGRAMS if "from shop import" in one.code and not _has_celery(one)]
    alone = [[one] for one in OTHER_PROGRAMS if one not in together]
    reports: dict[str, tuple[str, str]] = {}
    for batch in (together, *alone):
        files = {str(stage.folder / f"{one.name}.py"): one.name for one in batch}
        done = stage.run("-m", run_programs.__name__, *files)
        told = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(files) == len(told), done.stderr
        reports |= {files[report["file"]]: (report["printed"], report["error"]) for report in told}
    return reports


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda one: one.place)
def test_each_block_has_a_name_of_its_own(snippet: Snippet):
    """A block without a name would be shown to readers and run by nobody."""
    assert [snippet] == [one for one in SNIPPETS if one.name == snippet.name]
    assert snippet.name


def test_the_readme_works_as_it_stands(stage: Stage):
    """Its task, run by a worker; its program, started beside it: an id and the answer."""
    done = stage.run(f"{README_PROGRAM.name}.py")
    assert 0 == done.returncode, done.stderr
    job_id, _, answer = done.stdout.strip().partition(" ")
    assert ("What is a lease? -- answered at depth 3, attempt 1", 36) == (answer, len(job_id))


def test_the_readmes_commands_work_as_they_stand(stage: Stage):
    """`holdfast enqueue ... --wait` and a plain Celery producer get the README's task done, too."""
    shown = next(span for span in documents.spans(README_PROGRAM.document) if "holdfast enqueue" in span)
    task, arguments = shown.split(" ", 3)[2], shown.split("'")[1]
    done = stage.run("-m", "holdfast.cli.entry", "enqueue", task, arguments, "--wait")
    assert '"What is a lease? -- answered at depth 1, attempt 1"' == done.stdout.strip(), done.stderr


@pytest.mark.parametrize("snippet", OTHER_PROGRAMS, ids=lambda one: one.name)
def test_each_program_prints_what_it_says(ran: dict[str, tuple[str, str]], snippet: Snippet):
    """The comments `# -> text` are the lines that it prints, all of them and in order."""
    printed, error = ran[snippet.name]
    assert "" == error
    assert snippet.prints == printed.splitlines()


def test_the_worker_of_postgresql_needs_no_more_rights_than_shown(postgres_server: PostgresServer):
    """The owner migrates, the worker's role works with the rows and owns nothing."""
    rights = next(one for one in documents.snippets(DOCUMENTS[1]) if one.name == "postgresql-rights")
    database = postgres_server.create_database()
    url = make_url(postgres_server.url_of(database)).set(drivername="postgresql+psycopg")
    administrator = create_engine(url, poolclass=NullPool)
    with administrator.begin() as connection:
        connection.execute(text(rights.code.replace("DATABASE shop", f"DATABASE {database}")))
        for role in ROLES:
            connection.execute(text(f"ALTER ROLE {role} PASSWORD 'guide'"))
    owner, worker = (
        url.set(username=role, password="guide").render_as_string(hide_password=False) for role in ROLES
    )
    migrate(LedgerConfig(url=owner, schema="holdfast"))
    ledger = connect(LedgerConfig(url=worker, schema="holdfast"))
    job = NewJob(id=new_job_id(), task="shop.greet", arguments="{}")
    ledger.enqueue([job])
    assert "cancelled" == ledger.cancel(job.id)
    assert 1 == ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    ledger.close()


def _write(folder: Path) -> list[str]:
    """Write modules and programs into the folder; return the names of the modules."""
    modules: dict[str, str] = {}
    for one in SNIPPETS:
        if one.module is None:
            (folder / f"{one.name}.py").write_text(one.code, encoding="utf-8")
        else:
            modules[one.module] = modules.get(one.module, "") + one.code + "\n\n"
    for file, code in modules.items():
        (folder / file).write_text(code, encoding="utf-8")
    return [file.removesuffix(".py") for file in modules]


def _has_celery(snippet: Snippet) -> bool:
    """Tell whether a program makes or uses an application of Celery's: the process has one current one."""
    return "from celery" in snippet.code or "holdfast.workers.app" in snippet.code

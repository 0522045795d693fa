"""The runbooks are run: each of their commands does what it says, and a restore runs nothing twice."""

import contextlib
import re
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from holdfast.cli import main as command_line
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support import documents, sample_tasks
from holdfast.tests.support.builders import a_new_job
from holdfast.tests.support.platform import platform
from holdfast.tests.support.repository import ROOT
from holdfast.tests.support.servers import RedisServer

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
RESTORE = ROOT / "docs" / "runbooks" / "restore.md"
HEADINGS = ("Symptom", "What holds meanwhile", "Do not")
LOOKS = {"health", "doctor"}
"""Commands whose exit code tells how things are: nothing runs here, and so they are unwell."""
COUNTS = "quarantine drop --reason undecodable"
"""Says by its exit code that it only counted."""


def lines(document: Path) -> list[str]:
    """Return the commands of a runbook, without their comments."""
    blocks = [block.code for block in documents.snippets(document) if block.language == "sh"]
    return [shlex.join(shlex.split(line, comments=True)) for block in blocks for line in block.splitlines()]


def holdfast_lines(document: Path) -> list[str]:
    """Return what stands behind `holdfast` in them."""
    return [line.removeprefix("holdfast ") for line in lines(document) if line.startswith("holdfast ")]


@pytest.fixture
def ledger(sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch) -> Iterator[Ledger]:
    """A ledger with one quarantined message, number 1; the commands find it by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("HOLDFAST_BROKER_URL", redis_url)
    config = LedgerConfig(url=sqlite_url)
    migrate(config)
    opened = connect(config)
    envelope = (
        '{"content_type": "application/json", "content_encoding": "utf-8", '
        '"headers": {"task": "mail.send", "id": "a-1"}, "properties": {}}'
    )
    opened.quarantine.keep(
        queue="celery", reason=QuarantineReason.UNKNOWN_TASK, detail="no such task", raw=b"[[], {}, {}]",
        source="w", envelope=envelope,
    )  # fmt: skip
    yield opened
    opened.close()


@pytest.fixture
def run(capsys) -> Callable[[str], None]:
    """Run one command line; its exit code has to be the one of a command that did what was asked."""

    def run_it(line: str) -> None:
        with pytest.raises(SystemExit) as ended:
            command_line.main(shlex.split(line))
        said = capsys.readouterr()
        allowed = {0, 1, 2} if line.split(maxsplit=1)[0] in LOOKS else {1 if line == COUNTS else 0}
        assert (ended.value.code or 0) in allowed, f"holdfast {line}: {said.out}{said.err}"

    return run_it


def a_job(ledger: Ledger, document: Path) -> str:
    """Make the job that a runbook speaks of: one in the quarantine, or one that waits."""
    job = a_new_job()
    ledger.enqueue([job])
    if "requeue" in document.read_text(encoding="utf-8"):
        quarantined = "state = 'quarantined', reason = 'lost_repeatedly', finished_at = created_at"
        change = f"UPDATE jobs SET {quarantined}, next_ring_at = NULL WHERE id = :id"  # noqa: S608 -- nothing from outside
        with ledger.session() as session:
            session.execute(text(change), {"id": job.id})
            session.commit()
    return job.id


@pytest.mark.parametrize("document", RUNBOOKS, ids=lambda path: path.stem)
def test_each_command_does_what_it_says(document: Path, ledger: Ledger, run):
    """In the order of the page, on a ledger that has what the page speaks of."""
    job_id = a_job(ledger, document)
    for line in holdfast_lines(document):
        run(line.replace("JOB_ID", job_id))


@pytest.mark.parametrize(
    "document", [one for one in RUNBOOKS if one.stem != "README"], ids=lambda path: path.stem
)
def test_each_runbook_has_its_parts(document: Path):
    """Symptom, what holds meanwhile, commands, and what not to do; and the list names it."""
    page = document.read_text(encoding="utf-8")
    assert [] == [heading for heading in HEADINGS if f"**{heading}" not in page]
    assert re.search(r"\*\*Do(, [^*]*)?\.?\*\*", page)
    assert lines(document)
    assert f"]({document.name})" in (document.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.timeout(300)
def test_a_restored_ledger_runs_nothing_twice(tmp_path: Path, own_redis: RedisServer, run, monkeypatch):
    """By the runbook: what had ended since the backup is cancelled and runs no more, the rest runs once."""
    database, backup = tmp_path / "ledger.sqlite3", tmp_path / "backup.sqlite3"
    queues = {"queues": "default,other"}
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", f"sqlite:///{database}")
    with platform(tmp_path, broker_url=own_redis.url, database_url=f"sqlite:///{database}") as before:
        ended = sample_tasks.witness.enqueue_sync(str(tmp_path), "ended").id
        late = sample_tasks.witness.options(delay_seconds=3600).enqueue_sync(str(tmp_path), "late").id
        _copy(database, backup)
        before.worker(**queues)
        before.until_all([ended], JobState.COMPLETED, timeout_seconds=60)
    _copy(backup, database)
    with platform(tmp_path, broker_url=own_redis.url, database_url=f"sqlite:///{database}") as restored:
        assert JobState.AVAILABLE == restored.ledger.job(ended).state, "it would run again"
        migrating, holding, *deciding = holdfast_lines(RESTORE)
        run(migrating)
        run(holding)
        restored.worker(**queues)
        canary = sample_tasks.echo.options(queue="other").enqueue_sync("the worker claims")
        canary.result_sync(timeout_seconds=60)
        assert JobState.AVAILABLE == restored.ledger.job(ended).state, "but not on a queue that is held"
        for line in deciding:
            run(line.replace("JOB_ID", ended))
        after = sample_tasks.witness.enqueue_sync(str(tmp_path), "after")
        restored.until_all([after.id], JobState.COMPLETED, timeout_seconds=60)
        assert JobState.SCHEDULED == restored.ledger.job(late).state
        assert JobState.CANCELLED == restored.ledger.job(ended).state
    assert 1 == len((tmp_path / "ended.start").read_text().splitlines())


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    with RedisServer() as server:
        yield server


def _copy(source: Path, target: Path) -> None:
    """Copy a database as a backup does; what the target held is gone."""
    for leftover in (target, Path(f"{target}-wal"), Path(f"{target}-shm")):
        leftover.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(source)) as old,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)

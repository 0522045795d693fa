"""`holdfast ledger promoted`: what a restored or moved ledger has to be told."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from holdfast.cli import main as command_line
from holdfast.jobs.errors import LedgerError
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support.builders import a_new_job, a_worker, an_offer


@pytest.fixture
def config(database_url: str, tmp_path: Path, monkeypatch) -> LedgerConfig:
    """A ledger with tables, which the commands find by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", database_url)
    config = LedgerConfig(url=database_url, schema="holdfast")
    migrate(config)
    return config


@pytest.fixture
def run(capsys):
    """Run `holdfast ledger promoted ...`; return the exit code and the output."""

    def run_it(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            command_line.main(["ledger", "promoted", *arguments])
        return int(ended.value.code or 0), capsys.readouterr().out

    return run_it


def claims(ledger: Ledger, *queues: str) -> list:
    """Claim whatever a living worker may."""
    worker = a_worker(queues=queues)
    ledger.register_worker(worker, [an_offer(queue=queue) for queue in queues])
    requests = [ClaimRequest(new_lease_token(), None) for _ in range(10)]
    return ledger.claim(worker.id, requests, queues=queues, default_attempt_seconds=60.0, hard_limits={})


def test_a_restored_ledger_begins_nothing_until_it_is_let(config: LedgerConfig, run):
    """With --hold each queue is paused that holds jobs, or that this configuration or a dead worker read."""
    with_jobs = connect(config)
    gone = a_worker(queues=("mail",))
    with_jobs.register_worker(gone, [an_offer()])
    with_jobs.retire_worker(gone.id)
    with_jobs.enqueue([a_new_job(queue="default"), a_new_job(queue="slow"), a_new_job(queue="slow")])
    code, said = run("--hold", "--json")
    assert (0, {"incarnation": 2, "held": {"default": 1, "mail": 0, "slow": 2}}) == (code, json.loads(said))
    assert [] == claims(with_jobs, "default", "slow")
    with_jobs.resume_queue("slow")
    assert 2 == len(claims(with_jobs, "default", "slow"))
    with_jobs.close()


def test_later_fences_are_higher_than_forgotten_ones(config: LedgerConfig, run):
    """A claim after the command has a fence of the next incarnation, and no queue is paused unasked."""
    ledger = connect(config)
    ledger.enqueue([a_new_job(queue="default"), a_new_job(queue="default")])
    first = claims(ledger, "default")[0].lease.fence
    code, said = run()
    ledger.enqueue([a_new_job(queue="default")])
    assert (0, "The ledger is in its incarnation 2.") == (code, said.strip())
    assert [] == ledger.paused_queues()
    assert claims(ledger, "default")[0].lease.fence.incarnation == first.incarnation + 1
    ledger.close()


def test_a_moved_file_works_again(sqlite_url: str, tmp_path: Path, monkeypatch, run):
    """A SQLite ledger of another machine is refused by all but this command, and is ours afterwards."""
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", sqlite_url)
    config = LedgerConfig(url=sqlite_url)
    migrate(config)
    connect(config).close()
    engine = create_engine(sqlite_url)
    with engine.begin() as connection:
        moved = connection.execute(text("UPDATE meta SET value = 'another' WHERE name = 'machine_id'"))
    engine.dispose()
    if not moved.rowcount:
        pytest.skip("this machine has no /etc/machine-id")
    with pytest.raises(LedgerError, match="holdfast ledger promoted"):
        connect(config)
    assert 0 == run()[0]
    connect(config).close()

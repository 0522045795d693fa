"""`holdfast run --local`: a handler once more, beside its job and without a trace on it."""

import json
import pdb  # noqa: T100 -- the command's own
from pathlib import Path

import pytest
from sqlalchemy import text

from holdfast.cli import main as command_line
from holdfast.jobs.children import FailurePolicy, Plan, child_id, plan_digest
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest, Parentage
from holdfast.jobs.outcome import Completed
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.tests.support.builders import QUEUE, a_new_job, a_settlement, a_worker, an_offer
from holdfast.tests.support.migrated import migrated

MODULE = "holdfast.tests.support.local_tasks"


@pytest.fixture
def ledger(sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch):
    """An open ledger; the commands find it and a Redis by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("HOLDFAST_BROKER_URL", redis_url)
    monkeypatch.setenv("HOLDFAST_TASK_MODULES", MODULE)
    config = LedgerConfig(url=sqlite_url)
    migrated(config)
    opened = connect(config)
    yield opened
    opened.close()


@pytest.fixture
def run(capsys):
    """Run `holdfast run ...`; return the exit code, the output and the errors."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            command_line.main(["run", *arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run_it


def everything(ledger: Ledger) -> list[list[tuple[object, ...]]]:
    """Return every row of every table that such a run could touch."""
    tables = ("jobs", "attempts", "job_moments", "job_keys", "job_tags", "notes")
    with ledger.session() as session:
        session.execute(text("CREATE TABLE IF NOT EXISTS notes (note TEXT)"))
        questions = [text(f"SELECT * FROM {table}") for table in tables]  # noqa: S608 -- our own words
        rows = [session.execute(question).all() for question in questions]
        session.commit()
    return [[tuple(row) for row in found] for found in rows]


@pytest.mark.parametrize("task", ["local.everything", "local.everything_sync"])
def test_it_leaves_no_trace(ledger, run, task):
    """Progress, transactions, completion, enqueue and cancel are told, and nothing of it is written."""
    job = a_new_job(task=task, arguments='{"name":"Ada"}', tags=("red",))
    other = a_new_job()
    ledger.enqueue([job, other])
    everything(ledger)  # makes the table
    before = everything(ledger)
    code, said, errors = run(job.id, "--local")
    assert (0, '"Hello, Ada: red"\n') == (code, said)
    for told in (
        "progress: 1 of 2 half",
        "undone at its end",
        "would enqueue local.fails",
        "would cancel other",
    ):
        assert told in errors
    assert before == everything(ledger)


def test_a_parent_starts_no_children(ledger, run):
    """It is told which, and that the job would be parked; nothing is planned."""
    ledger.enqueue([job := a_new_job(task="local.parent", arguments='{"names":["Ada","Eve"]}')])
    code, _, errors = run(job.id, "--local")
    assert (1, True) == (code, "would start 2 children" in errors)
    assert "On a worker the job would be parked." in errors
    assert 1 == ledger.inspection.count().total


def test_a_parent_reads_the_results_of_its_children(ledger, run):
    """Those that its own attempts have started, and that have ended."""
    parent = a_worker()
    offers = [an_offer(task=name) for name in ("local.parent", "local.greet")]
    ledger.register_worker(parent, offers)
    ledger.enqueue([job := a_new_job(task="local.parent", arguments='{"names":["Ada"]}')])

    def claim(job_id):
        (claimed,) = ledger.claim(
            parent.id, [ClaimRequest(new_lease_token(), job_id)], queues=[QUEUE],
            default_attempt_seconds=60.0, hard_limits={},
        )  # fmt: skip
        return claimed

    claimed = claim(job.id)
    child = a_new_job(
        id=child_id(job.id, "map:1", 0, 1), task="local.greet", arguments='{"name":"Ada"}',
        parentage=Parentage(job.id, "map:1", 0),
    )  # fmt: skip
    digest = plan_digest([(child.task, child.arguments)])
    ledger.children.plan(Plan(claimed.lease, 1, "map:1", FailurePolicy.ALL, ("map:1",), digest, (child,)))
    ledger.settle([a_settlement(claim(child.id).lease, Completed('"Hello, Ada!"'))])
    assert (0, '["Hello, Ada!"]\n') == run(job.id, "--local")[:2]


def test_a_handler_that_raises(ledger, run):
    """Its traceback is shown, the exit code is 1, and the job stays where it is, in whatever state."""
    job = a_new_job(task="local.fails", arguments="{}")
    ledger.enqueue([job])
    ledger.cancel(job.id)
    code, said, errors = run(job.id, "--local", "--json")
    assert (1, "ValueError: no such customer") == (code, json.loads(said)["raised"])
    assert "local_tasks.py" in errors
    assert "cancelled" == ledger.job(job.id).state


def test_a_signal_is_explained(ledger, run):
    """What a worker would make of it."""
    ledger.enqueue([job := a_new_job(task="local.parks", arguments="{}")])
    code, _, errors = run(job.id, "--local")
    assert (1, True) == (code, "On a worker the job would be parked." in errors)


def test_the_debugger_opens_where_it_raised(ledger, run, monkeypatch):
    """In the frame of the handler."""
    seen = []
    monkeypatch.setattr(pdb, "post_mortem", seen.append)
    ledger.enqueue([job := a_new_job(task="local.fails", arguments="{}")])
    assert 1 == run(job.id, "--local", "--pdb")[0]
    frames = []
    trace = seen[0]
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert "fails" == frames[-1]


@pytest.mark.parametrize(
    ("task", "arguments"), [("local.unheard_of", "{}"), ("local.fails", '{"more":1}'), (None, "{}")]
)
def test_what_cannot_be_run(ledger, run, task, arguments):
    """No such task here, arguments that do not fit, no such job: an error, with what to do."""
    job = a_new_job(task=task or "local.fails", arguments=arguments)
    if task:
        ledger.enqueue([job])
    code, said, errors = run(job.id, "--local")
    assert (2, "", True) == (code, said, "Error:" in errors)


def test_it_has_to_be_said(ledger, run):
    """Nobody runs a job here who meant the workers."""
    ledger.enqueue([job := a_new_job(task="local.fails", arguments="{}")])
    code, _, errors = run(job.id)
    assert (2, True) == (code, "holdfast jobs retry" in errors)


def test_another_version_is_told(ledger, run):
    """It may be why the handler here does something else."""
    ledger.enqueue([job := a_new_job(task="local.fails", arguments="{}", version="7")])
    assert "of version 7" in " ".join(run(job.id, "--local")[2].split())

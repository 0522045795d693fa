"""`holdfast queue`, and what `holdfast jobs show` and `holdfast enqueue` say of a job that cannot begin."""

import json
from pathlib import Path

import pytest

from holdfast.cli import main as command_line
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.outcome import Park
from holdfast.ledger import LedgerConfig, connect
from holdfast.tests.support.builders import a_new_job, a_settlement, a_worker, an_offer
from holdfast.tests.support.migrated import migrated


@pytest.fixture
def ledger(sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch):
    """An open ledger; the commands find it and a Redis by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("HOLDFAST_BROKER_URL", redis_url)
    config = LedgerConfig(url=sqlite_url)
    migrated(config)
    opened = connect(config)
    yield opened
    opened.close()


@pytest.fixture
def run(capsys):
    """Run `holdfast ...`; return the exit code, the output and the errors."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            command_line.main(list(arguments))
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run_it


def test_a_queue_is_paused_listed_and_resumed(ledger, run):
    """Each step changes the ledger once, says so, and may be repeated."""
    ledger.register_worker(a_worker(queues=("mail", "slow"), slots=7), [an_offer()])
    job = a_new_job(queue="mail")
    ledger.enqueue([job, a_new_job(queue="lonely")])
    assert (0, "mail is paused.\n", "") == run("queue", "pause", "mail")
    assert (0, "mail was paused already.\n", "") == run("queue", "pause", "mail")
    assert "is paused since" in run("jobs", "show", job.id)[1]
    listed = {one["queue"]: one for one in json.loads(run("queue", "list", "--json")[1])}
    assert (1, 1, 7) == tuple(listed["mail"][name] for name in ("available", "workers", "slots"))
    assert ["mail"] == [name for name, one in listed.items() if one["paused_at"]]
    said = run("queue", "list")[1]
    assert "no live worker reads it" in next(line for line in said.splitlines() if "lonely" in line)
    assert "paused since" in next(line for line in said.splitlines() if "mail" in line)
    changed = json.loads(run("queue", "resume", "mail", "slow", "--json")[1])
    assert [("mail", True), ("slow", False)] == [(one["queue"], one["changed"]) for one in changed]
    assert [] == ledger.paused_queues()


def test_a_pause_says_why(ledger, run):
    """Wherever somebody asks what keeps a job waiting."""
    job = a_new_job(queue="mail")
    ledger.enqueue([job])
    assert 0 == run("queue", "pause", "mail", "--reason", "the post office is on strike")[0]
    for asked in (("jobs", "show", job.id), ("queue", "list"), ("queue", "list", "--json")):
        assert "the post office is on strike" in " ".join(run(*asked)[1].split())


def test_a_name_that_nobody_knows_is_paused_and_questioned(ledger, run):
    """It may be a queue of tomorrow; it may be a slip of the pen. What can be no queue is refused."""
    code, _, said = run("queue", "pause", "mial")
    assert (0, ["mial"]) == (code, [one.queue for one in ledger.paused_queues()])
    assert "is that its name?" in said
    assert 2 == run("queue", "pause", "no queue")[0]


def test_a_limit_is_shown_with_what_waits(ledger, run, monkeypatch):
    """Parked jobs are among those that the limit counts; what it refuses ends `holdfast enqueue` with 2."""
    monkeypatch.setenv("HOLDFAST_BACKLOG_LIMITS", "mail=3/2/1, empty=7")
    worker = a_worker(queues=("mail",))
    ledger.register_worker(worker, [an_offer(task="mail.send", queue="mail")])
    ledger.enqueue([a_new_job(task="mail.send", queue="mail") for _ in range(2)])
    (claim,) = ledger.claim(
        worker.id,
        [ClaimRequest(new_lease_token(), None)],
        queues=["mail"],
        default_attempt_seconds=60.0,
        hard_limits={},
    )
    ledger.settle([a_settlement(claim.lease, Park("upstream:post", wake_seq=claim.job.wake_seq))])
    listed = {one["queue"]: one for one in json.loads(run("queue", "list", "--json")[1])}
    assert (1, 1) == (listed["mail"]["available"], listed["mail"]["parked"])
    assert {"urgent": 3, "normal": 2, "bulk": 1} == listed["mail"]["limit"]
    said = run("queue", "list")[1]
    assert "2 of 3/2/1" in next(line for line in said.splitlines() if "mail" in line)
    assert "0 of 7" in next(line for line in said.splitlines() if "empty" in line)
    code, _, said = run("enqueue", "mail.send", "{}")
    assert (2, True) == (code, "2 of at most 2 jobs wait in mail" in " ".join(said.split()))
    assert 0 == run("enqueue", "mail.send", "{}", "--priority", "0")[0]


def test_enqueue_says_that_nobody_will_run_it(ledger, run):
    """The job is written, and why it will not begin is said at once and whenever it is asked for."""
    ledger.register_worker(a_worker(queues=("mail",)), [an_offer(task="mail.send")])
    code, said, warned = run("enqueue", "mail.send", "{}", "--queue", "default")
    assert (0, True) == (code, "It waits: no live worker reads queue default." in warned)
    page = json.loads(run("jobs", "show", said.strip(), "--json")[1])
    assert ["no live worker reads queue default"] == page["waits"]

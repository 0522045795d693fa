"""`holdfast watch`, `workers` and `queues`: what is going on, for people and machines."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from holdfast.cli import main as command_line
from holdfast.cli.watch import JsonView, LiveView, keep_watching
from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest, Progress
from holdfast.jobs.outcome import Park
from holdfast.ledger import LedgerConfig, connect
from holdfast.tests.support.builders import QUEUE, a_new_job, a_settlement, a_worker, an_offer
from holdfast.tests.support.migrated import migrated


@pytest.fixture
def ledger(sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch):
    """An open ledger; the commands find it and a Redis by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("HOLDFAST_BROKER_URL", redis_url)
    monkeypatch.setenv("COLUMNS", "80")
    config = LedgerConfig(url=sqlite_url)
    migrated(config)
    opened = connect(config)
    yield opened
    opened.close()


@pytest.fixture
def run(capsys):
    """Run `holdfast ...`; return the exit code and the output."""

    def run_it(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            command_line.main(list(arguments))
        return int(ended.value.code or 0), capsys.readouterr().out

    return run_it


@pytest.fixture
def claim(ledger):
    """Claim a job for the one worker."""
    worker = a_worker(name="worker-1", slots=7)
    ledger.register_worker(worker, [an_offer()])

    def claim_one(job):
        (claimed,) = ledger.claim(
            worker.id, [ClaimRequest(new_lease_token(), job.id)], queues=[QUEUE],
            default_attempt_seconds=60.0, hard_limits={},
        )  # fmt: skip
        return claimed.lease

    return claim_one


def looking(ledger, view, *steps):
    """Look once, and once more after each step."""
    left = list(steps)
    looks = [True]

    def wait(_seconds):
        if looks:
            looks.clear()
            return False
        if not left:
            return True
        left.pop(0)()
        return False

    keep_watching(ledger.inspection.overview, view, every_seconds=0.0, wait=wait)


def test_once(ledger, run, claim):
    """Without a terminal everything is told once: queues, running jobs with progress, waits, workers."""
    running, parked = a_new_job(), a_new_job()
    ledger.enqueue([running, parked, a_new_job(queue="mail")])
    ledger.settle([a_settlement(claim(parked), Park("upstream:search"))])
    ledger.progress(claim(running), Progress(3, 10, "pages \x1b[2J"))
    code, said = run("watch")
    assert 0 == code
    for part in (
        running.id,
        "3/10 pages",
        "upstream:search",
        "worker-1",
        "1/7",
        "mail",
        "no live worker reads it",
    ):
        assert part in " ".join(said.split())
    assert "\x1b" not in said
    assert max(len(line) for line in said.splitlines()) <= 80
    page = json.loads(run("watch", "--once", "--json")[1])
    assert [running.id] == [one["id"] for one in page["running"]]
    assert [("upstream:search", 1)] == [(one["waiting_for"], one["count"]) for one in page["waits"]]


def test_a_line_for_each_change(ledger, claim):
    """And none where only time has passed."""
    console = Console(width=80)
    job = a_new_job()
    with console.capture() as said:
        looking(
            ledger,
            JsonView(console, {}),
            lambda: None,
            lambda: ledger.enqueue([job]),
            lambda: None,
            lambda: claim(job),
            lambda: ledger.beat(ledger.workers()[0].id),
            lambda: ledger.cancel(job.id),
        )
    lines = [json.loads(line) for line in said.get().splitlines()]
    assert [[], [], [job.id]] == [[one["id"] for one in line["running"]] for line in lines]
    assert [0, 1, 0] == [sum(one["available"] for one in line["queues"]) for line in lines]


def test_a_ledger_that_is_away_is_asked_again(ledger):
    """It is said once, and what comes afterwards is shown again."""

    def gone(answers):
        for answer in answers:
            if answer is None:
                raise LedgerUnavailable(detail="gone")
            return answer
        raise AssertionError

    now = ledger.inspection.overview()
    answers = [now, None, None, now]

    def look():
        return gone([answers.pop(0)])

    console = Console(width=80)
    with console.capture() as said:
        keep_watching(look, JsonView(console, {}), every_seconds=0.0, wait=lambda _: not answers)
    told = [json.loads(line).get("error") for line in said.get().splitlines()]
    assert [None, "ledger_unavailable", None] == told
    answers[:] = [now, None]
    with console.capture() as said, Live(console=console, auto_refresh=False) as live:
        keep_watching(look, LiveView(live, {}), every_seconds=0.0, wait=lambda _: not answers)
    assert "asking again" in said.get()


def test_workers(ledger, run, claim):
    """Who lives, and how busy; the exit code says whether anybody does."""
    assert 0 == run("workers")[0]
    ledger.enqueue([job := a_new_job()])
    claim(job)
    (shown,) = json.loads(run("workers", "--json")[1])
    assert ("worker-1", 1, 7, [QUEUE], True) == tuple(
        shown[name] for name in ("name", "running", "slots", "queues", "is_alive")
    )
    assert "1/7" in run("workers")[1]
    ledger.retire_worker(shown["id"])
    code, said = run("workers")
    assert (1, True) == (code, "No worker lives" in said)
    code, said = run("workers", "--all")
    assert (1, True) == (code, "ended" in said)


def test_queues_is_the_list_of_queues(ledger, run):
    """Under the name by which one looks for it."""
    ledger.enqueue([a_new_job(queue="mail")])
    assert ["mail"] == [one["queue"] for one in json.loads(run("queues", "--json")[1])]
    assert "mail" in run("queues")[1]

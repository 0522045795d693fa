"""`holdfast jobs` on a ledger of its own."""

import json
from pathlib import Path

import pytest

from holdfast.cli import main as command_line
from holdfast.cli import steering
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.outcome import Quarantine
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import LedgerConfig, connect
from holdfast.tests.support.builders import QUEUE, a_failure, a_new_job, a_settlement, a_worker, an_offer
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
    """Run `holdfast jobs ...`; return the exit code, the output and the errors."""

    def run_it(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            command_line.main(["jobs", *(str(one) for one in arguments)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run_it


@pytest.fixture
def claim(ledger):
    """Claim a job."""
    worker = a_worker()
    ledger.register_worker(worker, [an_offer()])

    def claim_one(job):
        (claimed,) = ledger.claim(
            worker.id, [ClaimRequest(new_lease_token(), job.id)], queues=[QUEUE],
            default_attempt_seconds=60.0, hard_limits={},
        )  # fmt: skip
        return claimed.lease

    return claim_one


@pytest.fixture
def aside(ledger, claim):
    """Enqueue jobs and put them aside."""

    def quarantined(*jobs):
        ledger.enqueue(jobs)
        outcome = Quarantine(QuarantineReason.PERMANENT, a_failure("no such \x1b[2J customer"))
        ledger.settle([a_settlement(claim(job), outcome) for job in jobs])

    return quarantined


def ids(said: str) -> list[str]:
    """Read the ids of a list."""
    return [job["id"] for job in json.loads(said)["jobs"]]


def test_list(ledger, run, aside):
    """Newest first, with ids to be copied, in eighty columns; no terminal obeys what strangers wrote."""
    old, new = a_new_job(task="reports.a_rather_long_name_of_a_task"), a_new_job()
    ledger.enqueue([old])
    aside(new)
    code, said, _ = run("list")
    assert 0 == code
    assert said.index(new.id) < said.index(old.id)
    assert max(len(line) for line in said.splitlines()) <= 80
    assert "permanent: no such" in " ".join(said.split())
    assert "\x1b" not in said
    assert [new.id, old.id] == ids(run("list", "--json")[1])


def test_every_filter(ledger, run, aside):
    """Each option leaves out what it should, and several are all asked for."""
    job = a_new_job(queue="mail", task="mail.send", tenant="acme", tags=("red", "blue"))
    ledger.enqueue([job])
    aside(put_aside := a_new_job())
    for options in (
        ("--queue", "mail"), ("-t", "mail.send"), ("--tenant", "acme"), ("--tag", "red", "--tag", "blue"),
        ("--state", "available", "--state", "running"), ("--since", "1h", "--queue", "mail"),
    ):  # fmt: skip
        assert [job.id] == ids(run("list", *options, "--json")[1]), options
    for options in (("--reason", "permanent"), ("--text", "NO SUCH"), ("--ended-since", "1h")):
        assert [put_aside.id] == ids(run("list", *options, "--json")[1]), options
    for options in (("--until", "1h"), ("--ended-until", "1h"), ("--tag", "red", "--tag", "green")):
        assert [] == ids(run("list", *options, "--json")[1]), options
    assert "No job fits." in run("list", "--tag", "green")[1]


def test_pages(ledger, run):
    """A list says where it ended, and goes on from there."""
    ledger.enqueue([a_new_job() for _ in range(5)])
    _, said, _ = run("list", "--limit", 2, "--json")
    page, seen = json.loads(said), ids(said)
    while page["next"]:
        page = json.loads(run("list", "--limit", 2, "--after", page["next"], "--json")[1])
        seen += [job["id"] for job in page["jobs"]]
    assert (5, 5) == (len(seen), len(set(seen)))
    assert "--after" in run("list", "--limit", 2)[2]


def test_count(ledger, run):
    """By state, for people and machines."""
    ledger.enqueue([a_new_job(), a_new_job(), a_new_job(delay_seconds=60)])
    assert "3 (2 available, 1 scheduled)\n" == run("list", "--count")[1]
    counted = json.loads(run("list", "--count", "--json")[1])
    assert (3, {"available": 2, "scheduled": 1}) == (counted["count"], counted["by_state"])
    assert "0\n" == run("list", "--count", "--state", "parked")[1]


def test_show(ledger, run, aside):
    """Attempts with their tracebacks, tags, history; arguments only when asked for."""
    aside(job := a_new_job(tags=("red",)))
    code, said, _ = run("show", job.id, "--traceback")
    assert 0 == code
    for part in ("red", "quarantine", "Attempt 1: builtins.RuntimeError", "Traceback"):
        assert part in said
    assert "hello" not in said
    page = json.loads(run("show", job.id, "--json", "--arguments")[1])
    assert (["red"], {"text": "hello"}, "Traceback") == (
        page["tags"], page["arguments"], page["attempts"][0]["failure"]["traceback"],
    )  # fmt: skip


def test_named_jobs_are_steered_one_by_one(ledger, run, claim, aside):
    """One that is not there or has ended keeps no other; the exit code says the worst of it."""
    waiting, running = a_new_job(), a_new_job()
    ledger.enqueue([waiting, running])
    claim(running)
    code, said, errors = run("cancel", waiting.id, "nothing", running.id, "--reason", "why")
    assert (2, True, True) == (code, "is cancelled" in said, "was asked to end" in said)
    assert "nothing" in errors
    code, said, _ = run("cancel", waiting.id, "--json")
    assert (1, [{"job_id": waiting.id, "answer": "already_final"}]) == (code, json.loads(said))
    assert "why" == ledger.job(waiting.id).detail
    aside(back := a_new_job())
    assert 0 == run("requeue", back.id)[0]
    assert 2 == ledger.job(back.id).generation
    assert 2 == run("requeue", back.id)[0], "it is not in the quarantine any more"


def test_retry_of_one(ledger, run, claim, aside):
    """A scheduled job is due now, a quarantined one is requeued, any other is refused with its state."""
    later, running = a_new_job(delay_seconds=3600), a_new_job()
    ledger.enqueue([later, running])
    claim(running)
    aside(back := a_new_job())
    assert 0 == run("retry", later.id, back.id)[0]
    assert {JobState.AVAILABLE} == {ledger.job(job.id).state for job in (later, back)}
    code, _, errors = run("retry", running.id)
    assert (2, True) == (code, "it is running" in errors)


def test_a_refused_message_is_not_run_without_its_arguments(ledger, run):
    """By its id, and in bulk."""
    refused = a_new_job()
    ledger.refuse(refused, QuarantineReason.UNKNOWN_TASK, "", "digest")
    code, _, errors = run("requeue", refused.id)
    assert (2, True) == (code, "holdfast quarantine list" in errors)
    code, said, _ = run("requeue", "--all", "--yes")
    assert (1, True) == (code, "1 left" in said)
    assert JobState.QUARANTINED == ledger.job(refused.id).state


def test_bulk_counts_first(ledger, run):
    """Nothing is done before it was confirmed; then what was counted is done, and told by what came of it."""
    jobs = [a_new_job(tags=("import",)) for _ in range(3)]
    other = a_new_job()
    ledger.enqueue([*jobs, other])
    code, said, _ = run("cancel", "--tag", "import")
    assert (1, "Found 3 jobs (3 available). Nothing was done; --yes cancels them.\n") == (code, said)
    answer = json.loads(run("cancel", "--tag", "import", "--json")[1])
    assert {"found": 3, "by_state": {"available": 3}, "done": {}} == answer
    assert JobState.AVAILABLE == ledger.job(jobs[0].id).state
    assert (0, "1 cancelled.\n", "") == run("cancel", "--tag", "import", "--limit", 1, "--yes")
    answer = run("cancel", "--tag", "import", "--reason", "why", "--yes", "--json")
    assert (0, {"cancelled": 2}) == (answer[0], json.loads(answer[1])["done"])
    assert (0, "No job fits that can be cancelled.\n") == run("cancel", "--tag", "import", "--yes")[:2]
    assert JobState.AVAILABLE == ledger.job(other.id).state
    assert "why" in {ledger.job(job.id).detail for job in jobs}


@pytest.mark.parametrize("answer", [True, False])
def test_a_terminal_is_asked(ledger, run, monkeypatch, answer):
    """What it says decides."""
    state, code = ("cancelled", 0) if answer else ("available", 1)
    ledger.enqueue([job := a_new_job()])
    asked = []
    monkeypatch.setattr(steering.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(steering.typer, "confirm", lambda question: asked.append(question) or answer)
    assert code == run("cancel", "--queue", QUEUE, "--limit", 7)[0]
    assert (["Cancel 1 job (1 available)?"], state) == (asked, ledger.job(job.id).state)


def test_what_comes_after_the_count_is_left_alone(ledger, run, monkeypatch):
    """A job that is enqueued while somebody thinks about the count was not counted."""
    ledger.enqueue([counted := a_new_job()])
    late = a_new_job()

    def think(_question):
        at = ledger.inspection.count().at
        while ledger.inspection.count().at <= at:  # SQLite's clock counts milliseconds
            pass
        ledger.enqueue([late])
        return True

    monkeypatch.setattr(steering.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(steering.typer, "confirm", think)
    assert 0 == run("cancel", "--all")[0]
    assert ["cancelled", "available"] == [ledger.job(job.id).state for job in (counted, late)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("cancel",), ("requeue",), ("retry",), ("cancel", "x", "--all"), ("cancel", "x", "--tag", "red"),
        ("cancel", "x", "--limit", 1), ("cancel", "nothing"), ("requeue", "nothing"), ("retry", "nothing"),
        ("show", "nothing"), ("list", "--state", "lost"), ("list", "--since", "yesterday"),
        ("list", "--tag", "a,b"), ("list", "--after", "there"), ("list", "--limit", 0),
        ("cancel", "--all", "--limit", 0),
        ("requeue", "--reason", "bad luck"),
    ],
)  # fmt: skip
def test_a_wrong_call_ends_with_2(ledger, run, arguments):
    """What is not there, or makes no sense, changes nothing."""
    ledger.enqueue([job := a_new_job()])
    code, _, errors = run(*arguments)
    assert (2, True) == (code, bool(errors))
    assert JobState.AVAILABLE == ledger.job(job.id).state

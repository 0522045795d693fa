"""`holdfast schedules`, on a real ledger."""

import json
from pathlib import Path

import pytest

from holdfast.cli import main as command_line
from holdfast.jobs.state import JobState
from holdfast.ledger import LedgerConfig, connect
from holdfast.tests.support.builders import TASK, a_definition, a_worker, an_offer
from holdfast.tests.support.migrated import migrated

SCHEMA = '{"properties": {"text": {"type": "string"}}, "additionalProperties": false}'


@pytest.fixture
def ledger(sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch):
    """An open ledger with one worker; the commands find it and a Redis by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("HOLDFAST_BROKER_URL", redis_url)
    config = LedgerConfig(url=sqlite_url)
    migrated(config)
    opened = connect(config)
    opened.register_worker(a_worker(), [an_offer(schema=SCHEMA, version="4")])
    yield opened
    opened.close()


@pytest.fixture
def run(capsys):
    """Run `holdfast schedules ...`; return the exit code, the output and the errors."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            command_line.main(["schedules", *arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run_it


def test_a_schedule_is_added_shown_and_removed(ledger, run):
    """With its next ticks by the clocks of its zone, and its rule in words."""
    code, said, _ = run(
        "add", "nightly", "30 2 * * *", TASK, "--zone", "Europe/Berlin", "-a", "text=hello",
        "--missed", "all", "--deadline", "3600", "--queue", "slow", "--priority", "7", "--tenant", "acme",
    )  # fmt: skip
    assert 0 == code
    assert said.startswith("nightly ticks next at 20")
    assert said.rstrip().endswith(("02:30:00 CET.", "02:30:00 CEST.", "03:00:00 CEST."))
    stored = ledger.schedules.one("nightly").definition
    assert ('{"text":"hello"}', "4", "slow", 7, "acme", 3600.0, "all") == (
        stored.arguments, stored.version, stored.queue, stored.priority, stored.tenant,
        stored.deadline_seconds, stored.missed,
    )  # fmt: skip
    for shown in (run("list")[1], run("show", "nightly")[1]):
        assert "nightly" in shown
        assert "Europe/Berlin" in shown
    page = run("show", "nightly", "--ticks", "3")[1]
    assert 3 == page.count(":00 CE")
    assert "hello" not in page
    assert "hello" in run("show", "nightly", "--arguments")[1]
    (listed,) = json.loads(run("list", "--json")[1])
    assert "arguments" not in listed
    assert (1, "command") == (len(listed["next_ticks"]), listed["source"])
    shown = json.loads(run("show", "nightly", "--json", "--arguments", "--ticks", "4")[1])
    assert ({"text": "hello"}, 4) == (shown["arguments"], len(shown["next_ticks"]))
    assert (0, "nightly is removed.\n", "") == run("remove", "nightly")
    assert "There is no schedule" in run("list")[1]


def test_a_name_is_changed_by_a_word(ledger, run):
    """Without it nothing is written, and the hint names it."""
    assert 0 == run("add", "often", "every 5m", TASK)[0]
    code, _, said = run("add", "often", "every 9m", TASK)
    assert 2 == code
    assert "--replace" in said
    assert 0 == run("add", "often", "every 9m", TASK, "--replace")[0]
    assert "every 9m" == ledger.schedules.one("often").definition.rule


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "x", "every day", TASK), ("add", "x", "@daily", TASK, "--zone", "Mars"),
        ("add", "x", "@daily", "no.such.task"), ("add", "x", "@daily", TASK, "-a", "planet=mars"),
        ("add", "a b", "@daily", TASK), ("add", "", "@daily", TASK), ("show", "nothing"),
        ("pause", "nothing"), ("resume", "nothing"), ("remove", "nothing"), ("run-now", "nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_ends_with_2(ledger, run, arguments):
    """One line that says what is wrong, and nothing is written."""
    code, said, error = run(*arguments)
    assert (2, "") == (code, said)
    assert error.startswith("Error: ")
    assert [] == ledger.schedules.listed()


def test_pause_run_now_and_resume(ledger, run):
    """A paused schedule says so, with the reason; one job can be had all the same."""
    ledger.schedules.add(a_definition(rule="every 1h"))
    assert (0, "nightly is paused.\n", "") == run("pause", "nightly", "--reason", "a holiday")
    assert "was paused already" in run("pause", "nightly")[1]
    for shown in (run("list")[1], run("show", "nightly")[1]):
        assert "a holiday" in " ".join(shown.split())
    assert [] == json.loads(run("show", "nightly", "--json")[1])["next_ticks"]
    job_id = run("run-now", "nightly")[1].strip()
    assert JobState.AVAILABLE == ledger.job(job_id).state
    assert "ticks next at 20" in run("resume", "nightly")[1]
    assert (0, "nightly was not paused.\n", "") == run("resume", "nightly")
    other = json.loads(run("run-now", "nightly", "--json")[1])["job_id"]
    assert other != job_id


def test_what_the_code_declares_comes_back_and_removing_it_says_so(ledger, run):
    """An operator who wants it gone has to know."""
    ledger.schedules.declare([a_definition()], release=3, tasks=[TASK])
    assert "the code, release 3" in run("show", "nightly")[1]
    code, _, said = run("remove", "nightly")
    assert 0 == code
    assert "adds it again" in said

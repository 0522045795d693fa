"""`holdfast quarantine` on a ledger and a broker of its own."""

import json
from pathlib import Path

import pytest

from holdfast.cli import main as command_line
from holdfast.jobs.state import QuarantineReason
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.tests.support.builders import a_new_job
from holdfast.tests.support.migrated import migrated
from holdfast.tests.support.servers import RedisServer

ENVELOPE = json.dumps(
    {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {"task": "mail.send", "id": "a-1", "argsrepr": "('confidential',)"},
        "properties": {},
    }
)
SECRET = b'[["confidential \\u001b[2J"], {}, {}]'


@pytest.fixture
def ledger(sqlite_url: str, redis_server: RedisServer, tmp_path: Path, monkeypatch):
    """An open ledger; the commands find it and a Redis by the environment."""
    redis_server.flush()
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DATABASE_URL": sqlite_url, "BROKER_URL": redis_server.url, "ENV_FILE": "", "SECRETS_DIR": "",
    }.items():  # fmt: skip
        if value:
            monkeypatch.setenv(f"HOLDFAST_{name}", value)
    config = LedgerConfig(url=sqlite_url)
    migrated(config)
    opened = connect(config)
    yield opened
    opened.close()


@pytest.fixture
def run(capsys):
    """Run `holdfast quarantine ...`; return the exit code, the output and the errors."""

    def run_it(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            command_line.main(["quarantine", *(str(one) for one in arguments)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run_it


def keep(ledger: Ledger, **parts: object) -> int:
    """Keep a message of which only the named parts matter."""
    defaults = {
        "queue": "celery", "reason": QuarantineReason.UNKNOWN_TASK, "detail": "no such task", "raw": SECRET,
        "source": "w", "envelope": ENVELOPE,
    }  # fmt: skip
    return ledger.quarantine.keep(**{**defaults, **parts})


def test_list_shows_messages_and_jobs_apart(ledger, run):
    """Each under its heading; in JSON under its name; without arguments in either."""
    message_id, job = keep(ledger), a_new_job()
    ledger.refuse(job, QuarantineReason.INVALID_PAYLOAD, "no such argument", "digest")
    code, said, _ = run("list")
    assert 0 == code
    assert said.index("Messages that are no jobs") < said.index("mail.send") < said.index("Jobs")
    assert said.index("Jobs") < said.index(job.id)
    page = json.loads(run("list", "--json")[1])
    assert [(message_id, "mail.send", "a-1")] == [
        (one["id"], one["task"], one["job_id"]) for one in page["messages"]
    ]
    assert [(job.id, "invalid_payload")] == [(one["id"], one["reason"]) for one in page["jobs"]]
    assert "confidential" not in said + json.dumps(page)


def test_list_of_nothing(ledger, run):
    """An empty quarantine is no error."""
    assert (0, 2) == (run("list")[0], run("list")[1].count("none"))
    assert {"messages": [], "jobs": []} == json.loads(run("list", "--json")[1])


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), {1, 2}),
        (("--replayed",), {1, 2, 3}),
        (("--reason", "unknown_task"), {1}),
        (("--reason", "unknown_task", "--reason", "undecodable"), {1, 2}),
        (("--queue", "celery"), {1}),
        (("--queue", "slow"), {2}),
        (("--queue", "holdfast.slow"), {2}),
        (("--limit", "1"), {2}),
        (("--jobs",), set()),
    ],
)
def test_filters(ledger, run, options, found):
    """By reason, by queue under either name, by number; replayed ones only when asked for."""
    keep(ledger)
    keep(ledger, reason=QuarantineReason.UNDECODABLE, queue="holdfast.slow")
    ledger.quarantine.mark_replayed(keep(ledger, raw=b"3"), times=1)
    listed = json.loads(run("list", "--json", *options)[1])["messages"]
    assert found == {one["id"] for one in listed}


def test_show_hides_what_may_be_private(ledger, run):
    """Headers and bytes are shown with --raw only, and then a terminal obeys none of them."""
    message_id = keep(ledger, raw=b"\x1b[2J\xff confidential", detail="said \x1b[2J")
    code, said, _ = run("show", message_id)
    assert (0, False, True) == (code, "confidential" in said, "mail.send" in said)
    raw = run("show", message_id, "--raw")[1]
    assert "\\x1b[2J\\xff confidential" in raw
    assert "('confidential',)" in raw
    assert "\x1b[2J" not in said + raw
    page = json.loads(run("show", message_id, "--raw", "--json")[1])
    assert (b"\x1b[2J\xff confidential".hex(), ENVELOPE) == (page["raw_hex"], page["envelope"])
    assert "raw_hex" not in json.loads(run("show", message_id, "--json")[1])


def test_replay_sends_it_back(ledger, run, redis_server):
    """The bytes are on the queue again, the message is marked, and its job's id is told."""
    message_id = keep(ledger)
    code, said, _ = run("replay", message_id, "--json")
    assert (0, [{"id": message_id, "queue": "celery", "job_id": "a-1", "is_closed": True}]) == (
        code, json.loads(said)["replayed"],
    )  # fmt: skip
    with redis_server.client() as client:
        sent = json.loads(client.rpop("celery"))
    assert {"task": "mail.send", "id": "a-1", "argsrepr": "('confidential',)"} == sent["headers"]
    assert 1 == ledger.quarantine.one(message_id).replays


def test_replay_says_why_not(ledger, run, redis_server):
    """One that cannot be sent does not keep the others; the exit code says that something is left."""
    bad = keep(ledger, reason=QuarantineReason.UNDECODABLE, envelope=None, raw=b"{not json")
    cut = keep(ledger, envelope=None, raw=b"x" * 100_000)
    good = keep(ledger)
    code, said, errors = run("replay", bad, cut, good)
    assert (1, True) == (code, f"{good} was sent to celery" in said)
    assert "--force" in errors
    assert "65536 of its 100000 bytes" in errors
    assert 0 == run("replay", bad, "--force")[0]
    with redis_server.client() as client:
        assert 2 == client.llen("celery")
        assert b"{not json" == client.lpop("celery")


def test_drop(ledger, run):
    """By id at once; by filter they are counted first, and dropped with --yes."""
    one, other = keep(ledger), keep(ledger, raw=b"2")
    keep(ledger, raw=b"3", reason=QuarantineReason.UNDECODABLE)
    assert (0, "1 dropped.\n") == run("drop", one)[:2]
    assert (1, "1 found; --yes drops them.\n") == run("drop", "--reason", "unknown_task")[:2]
    assert other == ledger.quarantine.one(other).id
    assert {"dropped": 1} == json.loads(run("drop", "--reason", "unknown_task", "--yes", "--json")[1])
    assert {"dropped": 0, "found": 1} == json.loads(run("drop", "--all", "--json")[1])
    assert 0 == run("drop", "--all", "--yes")[0]
    assert 0 == ledger.quarantine.count().count


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", 7), ("show", 0), ("show", 2**63), ("show", "x"), ("replay", 7), ("replay",), ("drop", 7),
        ("drop",), ("drop", 1, "--all"), ("list", "--reason", "bad luck"), ("list", "--limit", 0),
    ],
)  # fmt: skip
def test_a_wrong_call_ends_with_2(ledger, run, arguments):
    """What is not there, or makes no sense, changes nothing."""
    keep(ledger) if arguments == ("drop", 1, "--all") else None
    code, _, errors = run(*arguments)
    assert (2, True) == (code, bool(errors))

"""A job that SQL enqueues is the job that Python enqueues, on PostgreSQL."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from alembic import command
from sqlalchemy import make_url, text

from holdfast.jobs.ids import JobId, new_job_id
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger, connect
from holdfast.ledger.engine import make_engine
from holdfast.ledger.upgrade import alembic_config, migrate
from holdfast.tests.support.builders import TASK, a_new_job, a_worker, an_offer

NIGHT = datetime(2031, 1, 1, tzinfo=UTC)
OPTIONS = [
    {},
    {"queue": "mail", "priority": 0, "tenant": "acme", "trace": "00-a-b-01"},
    {"delay_seconds": 60.0, "deadline_seconds": 90.0},
    {"run_at": NIGHT, "deadline_at": NIGHT + timedelta(days=30)},
    {"tags": ("b", "a", "größe"), "key": "k-ü", "key_seconds": 60.0},
    {"soft_timeout_seconds": 1.5, "hard_timeout_seconds": 2.5, "deadline_at": NIGHT},
]
CLOCKS = {"created_at", "run_at", "deadline_at", "expires_at", "ends_at", "next_ring_at"}
ITS_OWN = {"id", "principal", "arguments"}


@pytest.fixture
def database_url(postgres_url):
    """PostgreSQL only: SQLite has no functions of its own."""
    return postgres_url


@pytest.fixture
def call(ledger: Ledger, worker):
    """Call the function in a transaction of its own; returns the job's id."""

    def enqueue(task: str = TASK, payload: object = None, **options: object) -> JobId:
        with ledger.session() as session:
            found = session.execute(_call(options), _values(task, payload, options)).scalar_one()
            session.commit()
        return JobId(found)

    return enqueue


def _call(options: dict[str, object]):
    named = "".join(f", {name} => :{name}" for name in options)
    return text(f"SELECT holdfast_test.enqueue(:task, CAST(:payload AS jsonb){named})")


def _values(task: str, payload: object, options: dict[str, object]) -> dict[str, object]:
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    return {"task": task, "payload": json.dumps({"text": "hello"} if payload is None else payload), **lists}


def _row(ledger: Ledger, job_id: str) -> dict[str, object]:
    with ledger.session() as session:
        found = session.execute(text("SELECT * FROM holdfast_test.jobs WHERE id = :id"), {"id": job_id})
        return dict(found.mappings().one())


def _beside(ledger: Ledger, job_id: str) -> list[object]:
    """Everything that belongs to a job in other tables, without ids and the time."""
    questions = (
        "SELECT seq, kind, state, attempt, detail FROM holdfast_test.job_moments WHERE job_id = :id",
        "SELECT tag FROM holdfast_test.job_tags WHERE job_id = :id ORDER BY tag",
        "SELECT became FROM holdfast_test.job_keys WHERE job_id = :id",
    )
    with ledger.session() as session:
        return [session.execute(text(one), {"id": job_id}).all() for one in questions]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda one: " ".join(one) or "nothing")
def test_its_job_is_the_one_of_python(options, ledger, call):
    """Field by field; times are the same from the moment of the enqueue."""
    ours = ledger.enqueue([a_new_job(**{**options, "key": options.get("key") and "another"})])[0].job_id
    theirs = call(**options)
    mine, its = _row(ledger, ours), _row(ledger, theirs)
    if "key" in options:
        mine["key"] = options["key"]
    same = mine.keys() - CLOCKS - ITS_OWN
    assert {name: mine[name] for name in same} == {name: its[name] for name in same}
    assert json.loads(str(mine["arguments"])) == json.loads(str(its["arguments"]))
    for name in CLOCKS:
        assert (mine[name] is None) == (its[name] is None), name
        if mine[name] is not None and mine[name] != its[name]:
            assert mine[name] - mine["created_at"] == its[name] - its["created_at"], name
    assert _beside(ledger, ours) == _beside(ledger, theirs)
    assert str(its["principal"]).startswith("sql:")


def test_its_ids_are_ours(ledger, call):
    """Version 7, in the order of time, beside those of Python."""
    ids = [new_job_id(), call(), new_job_id()]
    assert ids[0][14] == ids[1][14] == "7"
    assert ids[1][19] in "89ab"
    assert len(ids[0]) == len(ids[1])
    assert abs(int(ids[1][:8], 16) - int(ids[0][:8], 16)) <= 1


def test_a_key_answers_with_the_first_job(ledger, call):
    """Whoever of SQL and Python came first, and for as long as the key is held."""
    first = call(key="k")
    assert first == call(key="k", payload={"text": "other"})
    assert [first] == [one.job_id for one in ledger.enqueue([a_new_job(key="k")])]
    (python,) = ledger.enqueue([a_new_job(key="from Python")])
    assert python.job_id == call(key="from Python")
    short = call(key="short", key_seconds=0.001)
    assert short != call(key="short")


def test_rivals_for_a_key_get_one_job(ledger, call):
    """Eight at once."""
    with ThreadPoolExecutor(8) as pool:
        assert 1 == len(set(pool.map(lambda _: call(key="k"), range(16))))


def test_a_job_vanishes_with_its_transaction(ledger, worker):
    """And its key with it."""
    with ledger.session() as session:
        lost = session.execute(_call({"key": "k"}), {**_values(TASK, None, {}), "key": "k"}).scalar_one()
        session.rollback()
    assert {} == ledger.find([JobId(lost)])
    assert ledger.enqueue([a_new_job(key="k")])[0].created


def test_it_is_claimed_like_any_other(ledger, call, claim):
    """By the next worker with a slot, with its arguments."""
    job_id = call(payload={"text": "hi"})
    claimed = claim()
    assert (job_id, JobState.RUNNING) == (claimed.job.id, claimed.job.state)
    assert {"text": "hi"} == json.loads(claimed.job.arguments)


def test_what_the_task_says_of_itself_is_known_by_its_offers(ledger, call):
    """Queue, version, and whether it needs a process of its own; of the version that most workers run."""
    old = an_offer(task="tests.apart", version="1", queue="slow", isolated=True)
    ledger.register_worker(a_worker(), [old])
    for _ in range(2):
        ledger.register_worker(a_worker(), [replace(old, version="2", queue="fast")])
    row = _row(ledger, call("tests.apart"))
    assert ("2", "fast", 1) == (row["version"], row["queue"], row["cohort"])
    assert "slow" == _row(ledger, call("tests.apart", version="1"))["queue"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"task": "nobody.knows"}, "no worker has offered"),
        ({"task": "tests.only_one"}, "unique"),
        ({"payload": [1]}, "JSON object"),
        ({"payload": {"text": "x" * 1_100_000}}, "bytes"),
        ({"queue": "celery"}, "queue"),
        ({"queue": "no queue"}, "queue"),
        ({"priority": 10}, "priority"),
        ({"tenant": ""}, "tenant"),
        ({"key": "a\tb"}, "key"),
        ({"key": "k", "key_seconds": 0}, "key_seconds"),
        ({"delay_seconds": -1}, "delay_seconds"),
        ({"delay_seconds": float("nan")}, "delay_seconds"),
        ({"deadline_seconds": 0}, "deadline"),
        ({"run_at": datetime(1970, 1, 1, tzinfo=UTC)}, "run_at"),
        ({"tags": ["a,b"]}, "tags"),
        ({"tags": [str(number) for number in range(17)]}, "tags"),
    ],
    ids=lambda one: one if isinstance(one, str) else None,
)
def test_what_python_refuses_it_refuses(options, says, ledger, call):
    """As an error of the statement, and nothing is written."""
    schema = json.dumps({"x-holdfast-unique": {"by": "arguments"}})
    ledger.register_worker(a_worker(), [an_offer(task="tests.only_one", schema=schema)])
    with pytest.raises(Exception, match=f"enqueue: .*{says}"):
        call(**options)
    assert [] == ledger.counts()


def test_no_worker_is_needed_who_says_queue_and_version(ledger, call):
    """A trigger works on in a deploy that has stopped them all."""
    assert call("nobody.knows", queue="default", version="3")


RIGHTS = """
CREATE ROLE {role} LOGIN PASSWORD 'trigger';
GRANT USAGE ON SCHEMA holdfast_test TO {role};
GRANT SELECT ON holdfast_test.offers, holdfast_test.workers TO {role};
GRANT SELECT, INSERT, UPDATE ON holdfast_test.job_keys TO {role};
GRANT INSERT ON holdfast_test.jobs, holdfast_test.job_moments, holdfast_test.job_tags TO {role};
"""


def test_it_needs_few_rights_and_takes_no_others_tables(postgres_url, config, ledger, worker):
    """A role that can read no job enqueues one, once granted; a table of its own is not taken for ours."""
    role = f"trigger_{new_job_id().replace('-', '')}"
    url = make_url(postgres_url).set(drivername="postgresql")
    address = url.render_as_string(hide_password=False)
    theirs = url.set(username=role, password="trigger").render_as_string(hide_password=False)
    asked = "SELECT holdfast_test.enqueue('tests.echo', '{\"text\": \"hi\"}', key => 'k', tags => '{a}')"
    with psycopg.connect(address, autocommit=True) as owner:
        owner.execute(RIGHTS.format(role=role))
        try:
            with psycopg.connect(theirs, autocommit=True) as caller:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    caller.execute(asked)
                owner.execute(f"GRANT EXECUTE ON FUNCTION holdfast_test.enqueue TO {role}")
                caller.execute("CREATE TEMPORARY TABLE jobs (id text)")
                (job_id,) = caller.execute(asked).fetchone()
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    caller.execute("SELECT * FROM holdfast_test.jobs")
            assert f"sql:{role}" == ledger.job(job_id).principal
        finally:
            owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_it_comes_and_goes_with_its_revision(config, ledger):
    """Down, it is gone; up, it is there again."""
    asked = text("SELECT count(*) FROM pg_proc WHERE proname = 'enqueue'")
    engine = make_engine(config)
    with engine.connect() as connection, connection.begin():
        mapped = connection.execution_options(schema_translate_map={None: config.schema})
        command.downgrade(alembic_config(mapped, config.schema), "0012")
        assert 0 == connection.execute(asked).scalar_one()
    migrate(config)
    with engine.connect() as connection:
        assert 1 == connection.execute(asked).scalar_one()
    engine.dispose()
    connect(config).close()

"""What finds rows finds them by an index: also in a backlog of which the database has no statistics yet."""

import re

import pytest
from sqlalchemy import event, text

from holdfast.jobs.retention import Sweep
from holdfast.jobs.state import JobState
from holdfast.ledger import LedgerConfig, connect
from holdfast.ledger.job_filter import EVERY_JOB, JobFilter, Place
from holdfast.ledger.statements import (
    backlog,
    children,
    concurrency,
    enqueue,
    maintenance,
    overview,
    reading,
    retention,
    rota,
    selection,
    settle,
    unique,
)
from holdfast.ledger.statements import claim as claims
from holdfast.ledger.transaction import Transactions
from holdfast.tests.support.builders import QUEUE, SOME_TIME, a_new_job
from holdfast.tests.support.migrated import migrated

VALUES = {
    "rows": "[]",
    "ids": '["a"]',
    "limits": "[]",
    "default_seconds": 1.0,
    "grace_seconds": 1.0,
    "most": 1,
    "least_cohort": 1,
    **backlog.asked(QUEUE, 9, 100),
    children.PARENT: "p",
    children.NAME: "map:1",
    children.GROUPS: '["map:1"]',
    children.AFTER_GROUP: "",
    children.AFTER: -1,
    children.LIMIT: 9,
    concurrency.KEYS: '["k"]',
    concurrency.KEY: "k",
    concurrency.PLACES: 1,
    rota.MOST: 2,
    **{f"{name}_{arm}": 1 for name in ("priority", "most") for arm in range(3)},
    **{f"{name}_{arm}": "a" for name in ("queue", "tenant") for arm in range(3)},
}


SCANS = ("SCAN jobs", "SCAN child", "SCAN holder", "SCAN first", "Seq Scan on jobs", "ix_jobs_created")
FEW = re.compile(r"ix_jobs_(awaiting|bereaved|in_turn|line|held|backlog|quarantined)\b")
"""Indexes that hold only the few that a sweep or an overview is about: those may be read as a whole."""


def reads_all_jobs(line):
    """Tell whether a line of a plan reads the table, or an index over all of it, from end to end."""
    return any(scan in line for scan in SCANS) and not FEW.search(line)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def backlog_of_three_thousand(request, tmp_path_factory):
    """An open ledger in which three thousand jobs wait, and its configuration; nobody may count them."""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        name = server.create_database()
        url = server.url_of(name)
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'ledger.sqlite3'}"
    config = migrated(LedgerConfig(url=url, schema="holdfast_test"))
    ledger = connect(config)
    with ledger.session() as session:
        if request.param == "postgresql":
            jobs = text(f"ALTER TABLE {config.schema}.jobs SET (autovacuum_enabled = false)")
            session.connection().execute(jobs)
        session.commit()
    ledger.enqueue([a_new_job() for _ in range(3000)])
    yield ledger, config
    ledger.close()
    if request.param == "postgresql":
        server.drop_database(name)


@pytest.fixture
def plan_of(backlog_of_three_thousand):
    """Ask the database how it would run a statement over the jobs that wait."""
    ledger, config = backlog_of_three_thousand
    with ledger.session() as session:
        engine = session.get_bind()
    transactions = Transactions(engine, schema=config.schema)
    verb = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"

    def explain(_connection, _cursor, text, parameters, _context, _many):
        return f"{verb} {text}", parameters

    def plan(statement):
        with engine.connect() as connection:
            known = statement.compile(connection).params
            wanted = {name: value for name, value in VALUES.items() if name in known}
            event.listen(engine, "before_cursor_execute", explain, retval=True)
            try:
                return [
                    str(line) for line in transactions.run(connection, statement, wanted).cursor.fetchall()
                ]
            finally:
                event.remove(engine, "before_cursor_execute", explain)

    return plan


@pytest.mark.parametrize(
    "statement",
    [
        claims.next_apart("w", ("a", "b"), spares_jobs=False),
        rota.waiting(),
        rota.heads("w", 2, 1, spares_tasks=False, spares_jobs=False),
        claims.claim("w"),
        settle.settle(),
        settle.held("w"),
        maintenance.due(9),
        maintenance.ringing("e", 9),
        maintenance.expired(9),
        enqueue.states(),
        reading.jobs_of_batch(),
        backlog.waiting(),
        selection.ids(JobFilter(states=(JobState.QUARANTINED,)), [JobState.QUARANTINED], "", 9),
        selection.lock(JobFilter(tags=("red",), states=(JobState.AVAILABLE,)), [JobState.AVAILABLE]),
        overview.recent(60.0),
        retention.prunable(Sweep(JobState.COMPLETED, 60.0, others=("t",)), SOME_TIME, 9),
        retention.prunable(Sweep(JobState.QUARANTINED, 60.0, "t"), None, 9),
        children.places(),
        children.ends(),
        children.is_over(),
        children.wake(),
        children.awake(9),
        children.bereaved(9),
        children.open_children(9),
        children.open_children(9, of_groups=True),
        children.close(),
        concurrency.running(),
        concurrency.free_places(of_keys=True),
        concurrency.free_places(of_keys=False),
        concurrency.first_in_line(),
        concurrency.books(),
        unique.look(),
        unique.lock(),
        unique.change(),
        unique.successors(),
        unique.begin(),
        unique.supersede(),
        unique.ask_to_end(),
    ],
    ids=lambda statement: type(statement).__name__,
)
def test_no_statement_reads_all_jobs(plan_of, statement):
    """On either database."""
    plan = plan_of(statement)
    assert any("jobs" in line for line in plan), plan
    assert not [line for line in plan if reads_all_jobs(line)], plan


@pytest.mark.parametrize(
    "statement",
    [
        selection.page(EVERY_JOB, None, 9),
        selection.page(EVERY_JOB, Place(SOME_TIME, "j"), 9),
        selection.page(JobFilter(tasks=("t",), created_since=SOME_TIME), None, 9),
    ],
    ids=["first", "later", "of a task"],
)
def test_a_list_is_read_in_the_order_of_an_index(plan_of, statement):
    """So that a page of a million jobs costs what a page of a hundred costs."""
    assert any("ix_jobs_created" in line for line in plan_of(statement))


def test_a_tag_is_found_by_its_index(plan_of):
    """A rare one among very many costs a lookup."""
    assert any(
        "ix_job_tags_tag_job_id" in line
        for line in plan_of(selection.page(JobFilter(tags=("red",)), None, 9))
    )


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (overview.running(9), "ix_jobs_held"),
        (overview.held(), "ix_jobs_held"),
        (overview.waits(9), "ix_jobs_backlog"),
    ],
    ids=["running", "held", "waits"],
)
def test_an_overview_reads_what_an_index_holds_of_it(plan_of, statement, index):
    """Which is all there is of it, whatever else has ended or waits."""
    plan = plan_of(statement)
    assert any(index in line for line in plan), plan
    assert not [line for line in plan if reads_all_jobs(line)], plan

"""The tables' rules are the vocabulary's rules."""

import re
from itertools import product

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError

from holdfast.jobs.state import FINAL_STATES, TRANSITIONS, JobState, QuarantineReason
from holdfast.ledger import revision, upgrade
from holdfast.ledger.schema import jobs, quarantined_messages
from holdfast.ledger.schema_rules import metadata
from holdfast.ledger.statements.shape import becoming

NOW = "2026-11-23T00:00:00.000000Z"


def words(table, constraint: str) -> set[str]:
    """Read the words of a CHECK constraint."""
    name = f"ck_{table.name}_{constraint}"
    check = next(check for check in table.constraints if check.name == name)
    return set(re.findall(r"'(\w+)'", str(check.sqltext.compile(compile_kwargs={"literal_binds": True}))))


@pytest.fixture(scope="module")
def connection():
    """The tables in memory."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection)
        yield connection
    engine.dispose()


def test_states():
    """The states of the tables are those of jobs/state.py, and so are the states of transitions."""
    assert {state.value for state in JobState} == words(jobs, "state")
    assert {state for pairs in TRANSITIONS.values() for pair in pairs for state in pair} <= set(JobState)


@pytest.mark.parametrize("table", [jobs, quarantined_messages])
def test_reasons(table):
    """The reasons of the tables are those of jobs/state.py."""
    assert {reason.value for reason in QuarantineReason} == words(table, "reason")


@pytest.mark.parametrize("state", JobState)
def test_one_shape_per_state(connection, state):
    """Of all ways to fill the columns that depend on the state, the tables take exactly one."""
    right = {
        "lease_token": state is JobState.RUNNING,
        "worker_id": state is JobState.RUNNING,
        "attempt_ends_at": state is JobState.RUNNING,
        "finished_at": state in FINAL_STATES,
        "reason": state is JobState.QUARANTINED,
        "result": state is JobState.COMPLETED,
        "next_ring_at": state is JobState.AVAILABLE,
        "waiting_for": state is JobState.PARKED,
    }
    values = {"reason": "permanent"} | {name: NOW for name in right if name.endswith("_at")}
    for filled in product([True, False], repeat=len(right)):
        shape = dict(zip(right, filled, strict=True))
        row = {name: values.get(name, "x") for name, is_filled in shape.items() if is_filled}
        assert (shape == right) == _takes(connection, {"state": state.value, **row})


@pytest.mark.parametrize("target", sorted(set(JobState) - {JobState.RUNNING}))
def test_becoming_has_the_shape(target):
    """The one function for changes of state names every column that depends on the state."""
    named = set(becoming(target))
    assert {
        "lease_token",
        "worker_id",
        "attempt_ends_at",
        "finished_at",
        "reason",
        "result",
        "next_ring_at",
        "waiting_for",
        "ticket",
    } <= named


@pytest.mark.parametrize("state", JobState)
def test_a_ticket_is_in_hand_or_nowhere(connection, state):
    """Only a job that runs, or is about to, may hold the right to a call."""
    fields = {
        JobState.AVAILABLE: {"next_ring_at": NOW},
        JobState.RUNNING: {"lease_token": "x", "worker_id": "w", "attempt_ends_at": NOW},
        JobState.PARKED: {"waiting_for": "upstream:x"},
        JobState.QUARANTINED: {"reason": "permanent", "finished_at": NOW},
        JobState.COMPLETED: {"result": "1", "finished_at": NOW},
        JobState.CANCELLED: {"finished_at": NOW},
    }.get(state, {})
    assert _takes(connection, {"state": state.value, **fields})
    holds = _takes(connection, {"state": state.value, "ticket": "1||x", **fields})
    assert (state in {JobState.AVAILABLE, JobState.RUNNING}) == holds


def test_head():
    """The program works with the newest migration."""
    config = Config()
    config.set_main_option("script_location", str(upgrade._MIGRATIONS))  # noqa: SLF001  where they are is nobody else's business
    config.set_main_option("path_separator", "os")
    assert [revision.HEAD] == ScriptDirectory.from_config(config).get_heads()


def _takes(connection, fields) -> bool:
    row = {
        "id": "x",
        "task": "t",
        "version": "1",
        "queue": "q",
        "priority": 5,
        "principal": "client",
        "arguments": "{}",
        "created_at": NOW,
        "run_at": NOW,
        "expires_at": NOW,
        "ends_at": NOW,
        "generation": 1,
        "ring_epoch": "",
        **dict.fromkeys(
            [
                "attempt",
                "claims",
                "losses",
                "crashes",
                "deaths_alone",
                "wake_seq",
                "moments",
                "fence_incarnation",
                "fence_counter",
                "rings",
            ],
            0,
        ),
        **fields,
    }
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    try:
        connection.exec_driver_sql(f"INSERT INTO jobs ({names}) VALUES ({marks})", row)  # noqa: S608  names of our own columns
    except IntegrityError:
        return False
    finally:
        connection.rollback()
    return True

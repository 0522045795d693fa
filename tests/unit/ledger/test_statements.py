"""Every statement compiles for both databases and guards what it writes."""

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.records import MessageFilter
from holdfast.ledger.statements import (
    claim,
    enqueue,
    foreign,
    maintenance,
    meta,
    quarantine,
    reading,
    retention,
    settle,
    steering,
    workers,
)

MESSAGES = MessageFilter((QuarantineReason.UNDECODABLE,), ("celery",), with_replayed=False)
STATEMENTS = {
    "lock claims": claim.lock(),
    "worker is alive": claim.worker_is_alive("w"),
    "by token": claim.by_token("w"),
    "next available": claim.next_available("w", ("a", "b")),
    "claim": claim.claim("w"),
    "start attempts": claim.start_attempts(),
    "add jobs": enqueue.add_jobs(),
    "take keys": enqueue.take_keys(),
    "holders": enqueue.holders(),
    "states": enqueue.states(),
    "bury": enqueue.bury("j", "d", 1.0),
    "buried": enqueue.buried("j"),
    "add moments": enqueue.add_moments(),
    "due": maintenance.due(1),
    "stage": maintenance.stage(),
    "ringing": maintenance.ringing("e", 1),
    "ringing without epoch": maintenance.ringing(None, 1),
    "ring": maintenance.ring("e"),
    "ring soon": maintenance.ring_soon(),
    "ring elsewhere": maintenance.ring_elsewhere("w"),
    "leftover": maintenance.leftover(1),
    "expired": maintenance.expired(1),
    "expire": maintenance.expire(),
    "quarantine waiting": maintenance.quarantine_waiting(QuarantineReason.POISON, "d", JobState.AVAILABLE),
    "offered again": maintenance.offered_again(),
    "not offered": maintenance.not_offered(1),
    "mark not offered": maintenance.mark_not_offered(),
    "never offered": maintenance.never_offered(1.0, 1),
    "store": foreign.store("t", "SUCCESS", None, None),
    "read": foreign.read("t"),
    "drop": foreign.drop(1.0, 1),
    "fact": meta.fact("epoch"),
    "raise incarnation": meta.raise_incarnation(),
    "change epoch": meta.change_epoch("a", "b", rest_seconds=1.0),
    "note": meta.note("n", "v"),
    "note first": meta.note_first("n", "v"),
    "probe": meta.probe(),
    "answer": meta.answer(),
    "jobs of batch": reading.jobs_of_batch(),
    "attempts of": reading.attempts_of("j"),
    "history": reading.history("j", 0),
    "counts": reading.counts(),
    "listed": reading.listed([JobState.PARKED], ["t"], 1),
    "tombstone": reading.tombstone("j"),
    "prunable": retention.prunable(1.0, 1.0, 1),
    "leave notes": retention.bury(1.0),
    "note on keys": retention.note_on_keys(),
    "delete jobs": retention.delete_jobs(),
    "delete attempts": retention.delete_attempts(),
    "delete moments": retention.delete_moments(),
    "drop keys": retention.drop_keys(1),
    "drop tombstones": retention.drop_tombstones(1),
    "drop messages": retention.drop_messages(1.0, 1),
    "keep message": quarantine.keep({"queue": "q"}),
    "list messages": quarantine.listed(MESSAGES, 1),
    "one message": quarantine.one(1),
    "count messages": quarantine.count(MESSAGES),
    "drop counted messages": quarantine.drop(MESSAGES, 1),
    "drop message": quarantine.drop_one(1),
    "mark replayed": quarantine.mark_replayed(1, 1),
    "refused": quarantine.refused("j"),
    "forget job": quarantine.forget("j")[0],
    "lock settlements": settle.lock(),
    "settle": settle.settle(),
    "end attempts": settle.end_attempts(),
    "ended": settle.ended(),
    "keep late": settle.keep_late(),
    "hold": settle.hold(),
    "progress": settle.progress(),
    "owned": settle.owned(),
    "prolong": settle.prolong(),
    "held": settle.held("w"),
    "look": steering.look("j"),
    "cancel": steering.cancel("j", "r"),
    "ask to cancel": steering.ask_to_cancel("j", "r"),
    "requeue": steering.requeue("j", 60.0),
    "wake": steering.wake("j"),
    "pause": steering.pause("q", "why"),
    "resume": steering.resume("q"),
    "paused": steering.paused(),
    "register": workers.register({"id": "w"}),
    "offer": workers.offer(),
    "beat": workers.beat("w"),
    "judge": workers.judge("w", waits=True),
    "judge, if free": workers.judge("w", waits=False),
    "end": workers.end("w", 1),
    "listed workers": workers.listed(alive_only=True),
    "offered": workers.offered(),
    "lead": workers.lead("r", "w", 1.0),
    "bury dead": workers.bury_dead(1.0, 1),
    "drop offers": workers.drop_offers(),
}
DIALECTS = {"postgresql": postgresql.psycopg.dialect(), "sqlite": sqlite.dialect()}


def sql(name: str, dialect: str) -> str:
    """Write a statement as the database reads it."""
    return str(STATEMENTS[name].compile(dialect=DIALECTS[dialect]))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", STATEMENTS)
def test_compiles(name, dialect):
    """Each statement can be written for each database, with the database's own clock and rows."""
    text = sql(name, dialect)
    assert ("statement_timestamp" in text) <= (dialect == "postgresql")
    assert ("strftime" in text) <= (dialect == "sqlite")


@pytest.mark.parametrize("name", ["settle", "hold", "progress", "owned", "prolong"])
def test_workers_write_under_their_token(name):
    """What a worker writes is guarded by state and token (B2)."""
    text = sql(name, "postgresql")
    assert "jobs.state || '' IN ('running')" in text.replace("(jobs.state || '')", "jobs.state || ''")
    assert "jobs.lease_token = " in text


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("next available", "available"),
        ("due", "scheduled"),
        ("ringing", "available"),
        ("leftover", "running"),
    ],
)
def test_partial_indexes_serve(name, state):
    """States stand in the text: a parameter would hide the partial index from the planner."""
    for dialect in DIALECTS:
        assert f"state = '{state}'" in sql(name, dialect)


@pytest.mark.parametrize(
    "name",
    ["due", "ringing", "leftover", "expired", "not offered", "never offered", "prunable", "next available"],
)
def test_sweeps_do_not_wait(name):
    """Sweeps and wishes for any job pass over rows that somebody has locked."""
    assert "SKIP LOCKED" in sql(name, "postgresql")


def test_claim_does_not_block_beats():
    """The claim's lock on the worker's row lets heartbeats through; the death waits for it (B3)."""
    assert sql("worker is alive", "postgresql").endswith("FOR KEY SHARE")
    assert sql("judge", "postgresql").endswith("FOR UPDATE")
    assert "SET beat_seq=" in sql("beat", "postgresql")

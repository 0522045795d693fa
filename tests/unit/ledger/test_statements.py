"""Every statement compiles for both databases and guards what it writes."""

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from holdfast.jobs.retention import Sweep
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.job_filter import EVERY_JOB, JobFilter, Place
from holdfast.ledger.records import MessageFilter
from holdfast.ledger.statements import (
    claim,
    enqueue,
    foreign,
    maintenance,
    meta,
    overview,
    quarantine,
    reading,
    retention,
    rota,
    schedules,
    selection,
    settle,
    steering,
    unique,
    workers,
)
from holdfast.tests.support.builders import SOME_TIME

EVERYTHING = JobFilter(
    ids=("j",), states=(JobState.PARKED, JobState.COMPLETED), tasks=("t",), queues=("q",), tenants=("n",),
    tags=("red", "blue"), reasons=(QuarantineReason.POISON,),
    created_since=SOME_TIME, created_until=SOME_TIME, finished_since=SOME_TIME,
    finished_until=SOME_TIME, text="x",
)  # fmt: skip
MESSAGES = MessageFilter((QuarantineReason.UNDECODABLE,), ("celery",), with_replayed=False)
STATEMENTS = {
    "lock claims": claim.lock(),
    "worker is alive": claim.worker_is_alive("w"),
    "by token": claim.by_token("w"),
    "next apart": claim.next_apart("w", ("a", "b"), spares_jobs=True),
    "whose turn it is": rota.waiting(),
    "first of the groups": rota.heads("w", 2, 1, spares_tasks=True, spares_jobs=True),
    "claim": claim.claim("w"),
    "start attempts": claim.start_attempts(),
    "add jobs": enqueue.add_jobs(),
    "take keys": enqueue.take_keys(),
    "holders": enqueue.holders(),
    "states": enqueue.states(),
    "point keys": enqueue.point_keys(),
    "forget keys": enqueue.forget_keys(),
    "take unique keys": unique.take(),
    "look at unique keys": unique.look(),
    "lock holders": unique.lock(),
    "change holders": unique.change(),
    "release unique keys": unique.release(),
    "successors": unique.successors(),
    "succeed": unique.succeed(),
    "begin": unique.begin(),
    "supersede": unique.supersede(),
    "ask to end": unique.ask_to_end(),
    "untake": unique.untake(),
    "own unique keys": unique.own(),
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
    "prunable": retention.prunable(Sweep(JobState.COMPLETED, 1.0, others=("t",)), SOME_TIME, 1),
    "prunable of a task": retention.prunable(Sweep(JobState.QUARANTINED, 1.0, "t"), None, 1),
    "delete tags": retention.delete_tags(),
    "add tags": enqueue.add_tags(),
    "page": selection.page(EVERYTHING, Place(SOME_TIME, "j"), 1),
    "first page": selection.page(EVERY_JOB, None, 1),
    "count": selection.count(EVERYTHING, [JobState.PARKED]),
    "ids": selection.ids(EVERYTHING, [JobState.PARKED], "j", 1),
    "lock for steering": selection.lock(EVERYTHING, [JobState.PARKED]),
    "cancel each": steering.cancel_each("r"),
    "ask each": steering.ask_each("r"),
    "requeue each": steering.requeue_each(1.0),
    "hurry each": steering.hurry_each(),
    "overview counts": overview.counts(),
    "overview recent": overview.recent(1.0),
    "overview running": overview.running(1),
    "overview held": overview.held(),
    "overview waits": overview.waits(1),
    "leave notes": retention.bury(1.0),
    "note on keys": retention.note_on_keys(),
    "note on unique keys": retention.note_on_unique_keys(),
    "delete unique keys": retention.delete_unique_keys(),
    "drop unique keys": retention.drop_unique_keys(1),
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
    "due ticks": schedules.due(1),
    "next tick": schedules.next_due(),
    "advance": schedules.advance(),
    "clock": schedules.clock(),
    "add schedules": schedules.add(replace=False),
    "replace schedules": schedules.add(replace=True),
    "declare": schedules.declare(),
    "withdraw": schedules.withdraw(),
    "listed schedules": schedules.listed(),
    "one schedule": schedules.one("s", locks=True),
    "pause schedule": schedules.pause("s", "why"),
    "resume schedule": schedules.resume("s", SOME_TIME),
    "remove schedule": schedules.remove("s"),
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
    "lead": workers.lead("r", 1.0),
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
        ("next apart", "available"),
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
    [
        "due",
        "ringing",
        "leftover",
        "expired",
        "not offered",
        "never offered",
        "prunable",
        "first of the groups",
        "next apart",
    ],
)
def test_sweeps_do_not_wait(name):
    """Sweeps and wishes for any job pass over rows that somebody has locked."""
    assert "SKIP LOCKED" in sql(name, "postgresql")


def test_claim_does_not_block_beats():
    """The claim's lock on the worker's row lets heartbeats through; the death waits for it (B3)."""
    assert sql("worker is alive", "postgresql").endswith("FOR KEY SHARE")
    assert sql("judge", "postgresql").endswith("FOR UPDATE")
    assert "SET beat_seq=" in sql("beat", "postgresql")

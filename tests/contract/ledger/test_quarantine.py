"""Messages that cannot be jobs: kept, listed, replayed, dropped."""

import pytest

from holdfast.jobs.errors import IllegalTransition, JobNotFound, MessageNotFound
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.records import MessageCount, MessageFilter
from holdfast.tests.support.builders import a_new_job, a_settlement

ENVELOPE = '{"headers":{"task":"t","id":"a"}}'


@pytest.fixture
def keep(ledger):
    """Keep a message of which only the named parts matter; returns its id."""

    def keep_one(raw: bytes = b"x", **parts) -> int:
        defaults = {"queue": "celery", "reason": QuarantineReason.UNDECODABLE, "detail": "", "source": "w"}
        return ledger.quarantine.keep(**{**defaults, **parts}, raw=raw)

    return keep_one


def test_bytes_that_are_no_message(ledger, keep):
    """They are kept in part with a digest of all; the same again is counted, with its last detail."""
    raw = b"\x00\xff" * 50_000
    first = keep(raw, detail="no JSON \x00")
    assert first == keep(raw, detail="no JSON, again")
    found = ledger.quarantine.one(first)
    assert (2, 65_536, 100_000, "no JSON, again", None, False) == (
        found.count, len(found.raw), found.size, found.detail, found.envelope, found.is_whole,
    )  # fmt: skip
    assert found.first_seen_at <= found.last_seen_at


def test_a_message_is_kept_whole(ledger, keep):
    """With an envelope it can be replayed, so its body is kept as far as a job's arguments may go."""
    found = ledger.quarantine.one(keep(b"x" * 1024 * 1024, envelope=ENVELOPE))
    assert (1024 * 1024, ENVELOPE, True) == (len(found.raw), found.envelope, found.is_whole)
    larger = ledger.quarantine.one(keep(b"x" * (1024 * 1024 + 1), envelope=ENVELOPE))
    assert (1024 * 1024, False) == (len(larger.raw), larger.is_whole)


def test_an_envelope_without_end(ledger, keep):
    """One of more than 64 KiB is not kept, and that is not the same as none."""
    found = ledger.quarantine.one(keep(envelope="x" * 65_537))
    assert ("", False) == (found.envelope, found.is_whole)


def test_one_body_in_two_envelopes(ledger, keep):
    """Messages with the same body are the same message only if their headers are, and their queue is."""
    ids = [keep(), keep(envelope=ENVELOPE), keep(envelope="{}"), keep(queue="other"), keep()]
    assert 4 == len(set(ids))
    assert 2 == ledger.quarantine.one(ids[0]).count


def test_strange_text(ledger, keep):
    """What no database can hold is replaced, what is too long is cut."""
    strange = "\x00\ud800" + "x" * 5000
    found = ledger.quarantine.one(keep(b"", queue=strange, detail=strange, envelope=strange[:9]))
    assert ("\ufffd?", 255, 2000, b"") == (
        found.queue[:2], len(found.queue), len(found.detail), found.raw,
    )  # fmt: skip


def test_list(ledger, keep, by_hand):
    """Listed the last seen first, at most so many, with the beginning of each."""
    ids = [keep(b"a" * 2000), keep(b"b"), keep(b"")]
    by_hand("UPDATE quarantined_messages SET last_seen_at = '2020-01-01T00:00:00.000000Z'")
    keep(b"a" * 2000)
    assert [ids[0], ids[2], ids[1]] == [one.id for one in ledger.quarantine.listed()]
    assert [1024, 0] == [len(one.raw) for one in ledger.quarantine.listed(2)]


def test_filters(ledger, keep):
    """Reason, queue and whether it was replayed choose what is listed, counted and dropped."""
    reused = QuarantineReason.ID_REUSED
    one, two, three = keep(b"1"), keep(b"2", reason=reused), keep(b"3", queue="q")
    ledger.quarantine.mark_replayed(three, times=1)
    for which, expected in {
        MessageFilter(): {one, two, three},
        MessageFilter(reasons=(reused,)): {two},
        MessageFilter(reasons=(reused, QuarantineReason.UNDECODABLE), queues=("celery",)): {one, two},
        MessageFilter(queues=("q",)): {three},
        MessageFilter(with_replayed=False): {one, two},
        MessageFilter(queues=("'; DROP TABLE jobs; --",)): set(),
    }.items():
        assert expected == {message.id for message in ledger.quarantine.listed(which=which)}
        assert MessageCount(len(expected), max(expected, default=0)) == ledger.quarantine.count(which)


def test_drop_one(ledger, keep):
    """It is gone, and asking for it or dropping it again says so."""
    one, other = keep(b"1"), keep(b"2")
    ledger.quarantine.drop_one(one)
    for verb in (ledger.quarantine.drop_one, ledger.quarantine.one):
        with pytest.raises(MessageNotFound, match=str(one)):
            verb(one)
    assert [other] == [message.id for message in ledger.quarantine.listed()]


def test_a_number_is_given_once(ledger, keep):
    """Whoever noted the number of a dropped message does not replay or drop another one by it."""
    kept, dropped = keep(), keep(queue="other")
    ledger.quarantine.drop_one(dropped)
    assert keep(queue="third") > dropped
    ledger.quarantine.drop_one(kept)


def test_drop_what_was_counted(ledger, keep):
    """What came after the count stays, though the filter would let it through."""
    which = MessageFilter(reasons=(QuarantineReason.UNDECODABLE,))
    spared = keep(b"1", reason=QuarantineReason.ID_REUSED)
    keep(b"2")
    keep(b"3")
    counted = ledger.quarantine.count(which)
    late = keep(b"4")
    assert 2 == ledger.quarantine.drop(which, newest=counted.newest)
    assert {spared, late} == {message.id for message in ledger.quarantine.listed()}
    assert 0 == ledger.quarantine.drop(which, newest=counted.newest)


def test_a_replayed_message_that_comes_back_is_open_again(ledger, keep):
    """A replay is noted and counted; the same message in the quarantine again opens it."""
    one = keep()
    assert ledger.quarantine.mark_replayed(one, times=1)
    closed = ledger.quarantine.one(one)
    assert (1, True) == (closed.replays, closed.replayed_at is not None)
    keep()
    opened = ledger.quarantine.one(one)
    assert (2, 1, None) == (opened.count, opened.replays, opened.replayed_at)


def test_a_message_that_is_back_before_its_replay_was_noted_stays_open(ledger, keep):
    """The worker may be faster than the note: the note names the count that was seen."""
    one = keep()
    keep()
    assert not ledger.quarantine.mark_replayed(one, times=1)
    assert (0, None) == (ledger.quarantine.one(one).replays, ledger.quarantine.one(one).replayed_at)
    assert not ledger.quarantine.mark_replayed(one + 1000, times=1)


def test_prune(ledger, keep):
    """Messages that were last seen long ago go with the quarantined jobs."""
    keep()
    ledger.prune(completed_seconds=0, quarantined_seconds=60, limit=10)
    assert 1 == ledger.quarantine.count().count
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert 0 == ledger.quarantine.count().count


def test_a_refused_messages_id_is_released(ledger):
    """So that the same message, replayed, is adopted and not taken for a known one."""
    job = a_new_job()
    refusal = (QuarantineReason.UNKNOWN_TASK, "nobody knows it", "digest")
    assert "adopted" == ledger.refuse(job, *refusal)
    assert "known" == ledger.adopt(job, "digest")
    assert ledger.quarantine.release_id(job.id)
    assert ({}, []) == (ledger.find([job.id]), ledger.history(job.id))
    assert "adopted" == ledger.adopt(job, "digest")
    assert ["adopt"] == [moment.kind for moment in ledger.history(job.id)]


def test_an_id_that_nobody_has_is_free(ledger):
    """Nothing has to be forgotten."""
    assert ledger.quarantine.release_id(a_new_job().id)


def test_a_jobs_id_is_not_released(ledger, claim, by_hand):
    """Not one that waits, not one that ran, not one that ran and is pruned: it would run twice."""
    job = a_new_job()
    ledger.adopt(job, "digest")
    assert not ledger.quarantine.release_id(job.id)
    ledger.settle([a_settlement(claim(job.id).lease)])
    assert not ledger.quarantine.release_id(job.id)
    assert JobState.COMPLETED == ledger.job(job.id).state
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert {} == ledger.find([job.id])
    assert not ledger.quarantine.release_id(job.id)
    by_hand("UPDATE tombstones SET until = '2020-01-01T00:00:00.000000Z'")
    assert ledger.quarantine.release_id(job.id)


def test_a_refused_message_is_not_requeued(ledger):
    """It would run without the arguments that its sender gave: the message is replayed instead."""
    job = a_new_job(arguments="{}")
    ledger.refuse(job, QuarantineReason.UNKNOWN_TASK, "nobody knows it", "digest")
    with pytest.raises(IllegalTransition, match="Replay the message"):
        ledger.requeue(job.id)
    assert JobState.QUARANTINED == ledger.job(job.id).state
    ledger.quarantine.release_id(job.id)
    with pytest.raises(JobNotFound):
        ledger.requeue(job.id)


def test_quarantined_jobs_are_listed_by_reason_and_queue(ledger):
    """As the messages are."""
    refused = QuarantineReason.UNKNOWN_TASK
    one, two = a_new_job(), a_new_job(queue="slow")
    ledger.refuse(one, refused, "", "1")
    ledger.refuse(two, refused, "", "2")
    assert [two.id, one.id] == [job.id for job in ledger.quarantine.jobs(reasons=[refused])]
    assert [two.id] == [job.id for job in ledger.quarantine.jobs(queues=["slow"])]
    assert [] == ledger.quarantine.jobs(reasons=[QuarantineReason.POISON])

"""Why a job waits, in words."""

import pytest

from holdfast.cli.waits import Surroundings, why_it_waits
from holdfast.jobs.ids import new_worker_id
from holdfast.jobs.job import WorkerRow
from holdfast.jobs.state import JobState
from holdfast.ledger.records import OfferRow, PausedQueue
from holdfast.tests.support.builders import SOME_TIME, TASK, a_job


def a_live_worker(*queues: str, has_lane: bool = False) -> WorkerRow:
    """A worker as the ledger lists it."""
    return WorkerRow(
        id=new_worker_id(), name="w", host="h", pid=1, version="1", is_alive=True, beat_seq=1,
        started_at=SOME_TIME, seen_at=SOME_TIME, slots=10, queues=queues, has_lane=has_lane,
    )  # fmt: skip


def offered(worker: WorkerRow, task: str = TASK, version: str = "1") -> OfferRow:
    """What this worker can run."""
    return OfferRow(worker.id, worker.name, task, version, "default", "{}")


READER, MAILER = a_live_worker("default"), a_live_worker("mail")
PAUSE = PausedQueue("default", SOME_TIME)


@pytest.mark.parametrize(
    ("around", "reasons"),
    [
        (Surroundings([READER], [offered(READER)]), []),
        (Surroundings([READER], [offered(READER)], [PausedQueue("mail", SOME_TIME)]), []),
        (Surroundings(), ["no live worker"]),
        (Surroundings([MAILER], [offered(MAILER)]), ["no live worker reads queue default"]),
        (Surroundings([READER], [offered(READER, "other")]), [f"no live worker offers task {TASK}"]),
        (
            Surroundings([READER], [offered(READER, version="2")]),
            [f"no live worker offers version 1 of task {TASK}"],
        ),
        (
            Surroundings([READER, MAILER], [offered(MAILER)]),
            [f"no live worker that reads queue default offers task {TASK}"],
        ),
        (
            Surroundings([READER], [offered(READER)], [PAUSE]),
            ["queue default is paused since 2026-11-23 12:00:00; `holdfast queue resume default` opens it"],
        ),
    ],
)
def test_a_waiting_job_says_what_it_waits_for(around, reasons):
    """Paused, unread, not offered, or offered elsewhere; and nothing where all is well."""
    assert reasons == why_it_waits(a_job(), around)


@pytest.mark.parametrize("state", [JobState.AVAILABLE, JobState.SCHEDULED])
@pytest.mark.parametrize(
    ("cohort", "reader_has_lane", "is_told"),
    [(1, False, True), (8, False, True), (1, True, False), (None, False, False)],
)
def test_an_isolated_job_says_that_nobody_has_room_for_it(state, cohort, reader_has_lane, is_told):
    """A lane on a worker that reads another queue does not help; a job that needs none waits for none."""
    reader, elsewhere = (
        a_live_worker("default", has_lane=reader_has_lane),
        a_live_worker("mail", has_lane=True),
    )
    around = Surroundings([reader, elsewhere], [offered(reader), offered(elsewhere)])
    reasons = why_it_waits(a_job(state=state, cohort=cohort), around)
    assert is_told == any("HOLDFAST_WORKER_ISOLATED_PROCESSES" in reason for reason in reasons)
    assert is_told == bool(reasons)


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.COMPLETED, JobState.QUARANTINED])
def test_what_does_not_wait_has_no_reason(state):
    """Running and final jobs need nobody any more."""
    assert [] == why_it_waits(a_job(state=state), Surroundings())


def test_a_parked_job_says_what_it_waits_for_and_since_when():
    """Also where nobody knows since when: a row that was written by hand has no history."""
    job = a_job(state=JobState.PARKED, waiting_for="upstream:search")
    around = Surroundings([READER], [offered(READER)], (), SOME_TIME)
    assert ["it is parked since 2026-11-23 12:00:00, waiting for upstream:search"] == why_it_waits(
        job, around
    )
    around = Surroundings([READER], [offered(READER)])
    assert ["it is parked, waiting for upstream:search"] == why_it_waits(job, around)

"""The heir: what a dead process left on disk is settled once, by its tokens, whoever replays it."""

import pytest

from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.events import ServiceFailed, SpoolReplayed
from holdfast.jobs.state import JobState
from holdfast.tests.support.bench import Unsteady, claimed, registered
from holdfast.tests.support.builders import a_lease, a_settlement
from holdfast.workers.census import Birth, birth_of_self
from holdfast.workers.spool import lines
from holdfast.workers.spool.folder import DiskFolder
from holdfast.workers.spool.heir import Heir, name_of, prefix_of


@pytest.fixture
def folder(tmp_path):
    """The spool's folder."""
    return DiskFolder(tmp_path)


@pytest.fixture
def line(ledger):
    """A ledger on a line that can break."""
    return Unsteady(ledger)


def left(folder, name, *settlements, tail=b""):
    """Leave a file as a dead process does: nobody has it locked."""
    path = folder.path / f"{name}.spool"
    path.write_bytes(lines.header() + b"".join(map(lines.line_of, settlements)) + tail)
    return path


def an_heir(folder, events, prefix="one."):
    """Somebody who looks for the files of a ledger."""
    return Heir(folder, prefix, events=events)


def test_outcomes_are_settled_and_the_file_is_gone(ledger, folder, events, seen):
    """The jobs end as they would have ended, though their worker is dead."""
    worker_id = registered(ledger)
    leases = [claimed(ledger, worker_id).lease for _ in range(3)]
    left(folder, "one.a", *map(a_settlement, leases), tail=b"torn in the midd")
    assert [] == an_heir(folder, events).replay(ledger)
    assert [JobState.COMPLETED] * 3 == [ledger.job(lease.job_id).state for lease in leases]
    assert [SpoolReplayed(count=3, late=0, refused=0, torn=1)] == seen
    assert [] == list(folder.path.iterdir())


def test_what_comes_too_late_stands_on_its_attempt(ledger, folder, events, seen):
    """The job is somebody else's by now: shown, never applied."""
    lease = claimed(ledger, registered(ledger)).lease
    ledger.hand_back([lease], "taken back")
    left(folder, "one.a", a_settlement(lease))
    an_heir(folder, events).replay(ledger)
    assert JobState.AVAILABLE == ledger.job(lease.job_id).state
    (attempt,) = ledger.attempts(lease.job_id)
    assert "completed" in (attempt.late or "")
    assert [1] == [event.late for event in seen]


def test_a_replay_that_broke_off_is_done_again(ledger, line, folder, events, seen):
    """The commit whose answer was lost, and the file that is still there: the token knows both."""
    lease = claimed(ledger, registered(ledger)).lease
    path = left(folder, "one.a", a_settlement(lease))
    heir = an_heir(folder, events)
    line.before.add("settle")
    with pytest.raises(LedgerUnavailable):
        heir.replay(line.as_ledger())
    assert JobState.RUNNING == ledger.job(lease.job_id).state
    line.before.clear()
    line.after.add("settle")
    with pytest.raises(LedgerUnavailable):
        heir.replay(line.as_ledger())
    assert (JobState.COMPLETED, True) == (ledger.job(lease.job_id).state, path.exists())
    line.after.clear()
    assert [] == heir.replay(line.as_ledger())
    assert [SpoolReplayed(count=1, late=0, refused=0, torn=0)] == seen


def test_other_ledgers_and_living_processes_files_are_left(ledger, folder, events, seen):
    """One folder may serve several ledgers, and many workers."""
    mine = DiskFolder(folder.path).create("one.living", lines.header())
    other = left(folder, "two.a", a_settlement(a_lease()))
    folder._held.add("one.living")  # noqa: SLF001 -- as another process's lock would keep it
    assert [] == an_heir(folder, events).replay(ledger)
    assert ([], True) == (seen, other.exists())
    mine.remove()


def test_a_file_that_cannot_be_read_is_told_once_and_left(ledger, folder, events, seen):
    """It waits for a version that knows it, and keeps nobody from the others."""
    lease = claimed(ledger, registered(ledger)).lease
    strange = left(folder, "one.a")
    strange.write_bytes(lines._line({"format": 99}))  # noqa: SLF001 -- a line with a right checksum
    left(folder, "one.b", a_settlement(lease))
    heir = an_heir(folder, events)
    assert ["one.a"] == heir.replay(ledger)
    assert ["one.a"] == heir.replay(ledger)
    assert JobState.COMPLETED == ledger.job(lease.job_id).state
    assert [ServiceFailed, SpoolReplayed] == [type(event) for event in seen]
    assert strange.exists()


def test_an_outcome_that_cannot_be_settled_is_put_aside_and_costs_no_other(
    ledger, line, folder, events, seen
):
    """Its file stays for people; nobody replays it for ever."""
    worker_id = registered(ledger)
    leases = [claimed(ledger, worker_id).lease for _ in range(2)]
    path = left(folder, "one.a", *map(a_settlement, leases))
    settle = ledger.settle

    class Choosy:
        def settle(self, settlements):
            if leases[0] in [one.lease for one in settlements]:
                raise ValueError("a bug of ours")
            return settle(settlements)

    heir = an_heir(folder, events)
    assert [] == heir.replay(Choosy())
    assert [JobState.RUNNING, JobState.COMPLETED] == [ledger.job(one.job_id).state for one in leases]
    assert [(2, 1)] == [(event.count, event.refused) for event in seen if isinstance(event, SpoolReplayed)]
    assert not path.exists()
    assert [] == heir.replay(ledger)
    assert ["one.a.refused"] == [one.name for one in folder.path.iterdir()]


def test_a_name_tells_ledger_and_process():
    """So an heir knows whose files it may touch, and an undertaker whose are left."""
    here = birth_of_self()
    name = name_of("one", here, "worker")
    assert name.startswith(prefix_of("one"))
    assert name.startswith(prefix_of("one", here))
    assert not name.startswith(prefix_of("one", Birth(here.machine_id, here.pid, "another start")))
    assert not name.startswith(prefix_of("on"))

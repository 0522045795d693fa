"""How a worker comes into its row: no twin lives beside it, and no predecessor's work is lost (B5, B16)."""

from functools import partial

import pytest

from holdfast.jobs.errors import LedgerUnavailable, WorkerNameTaken
from holdfast.jobs.events import TwinWatched, WorkerDeclaredDead
from holdfast.jobs.ids import WorkerId, new_worker_id
from holdfast.jobs.state import JobState
from holdfast.tasks import Registry, task
from holdfast.tests.support.bench import FakeClock, Unsteady, claimed
from holdfast.tests.support.builders import a_config, a_settlement, a_worker, an_offer
from holdfast.workers.census import Birth, birth_of_self
from holdfast.workers.registration import AskedToLeave, Registration
from holdfast.workers.spool import lines
from holdfast.workers.spool.folder import DiskFolder
from holdfast.workers.spool.heir import Heir, name_of, prefix_of

LEASE_SECONDS = 20.0
HERE = birth_of_self()
ELSEWHERE = Birth("another machine", 7, "42")
GONE = Birth(HERE.machine_id, 2**22 + 1, HERE.started_marker)


class Office:
    """Where a worker registers; each pause of its watch lets a second pass, and others act."""

    def __init__(self, ledger, events, path):
        self.ledger, self.line, self.clock = ledger, Unsteady(ledger), FakeClock()
        self.me = new_worker_id()
        self.registry = Registry()
        self.is_leaving = False
        self.meanwhile = []
        """What happens in each pause."""
        self.registration = Registration(
            a_config(name="the-name", lease_seconds=LEASE_SECONDS),
            HERE,
            self.registry,
            ledger=self.line.as_ledger(),
            heir=Heir(DiskFolder(path), prefix_of(ledger.ledger_id), events=events),
            has_lane=True,
            events=events,
            clock=self.clock,
            is_leaving=lambda: self.is_leaving,
            pause=self._pause,
        )
        self.folder = path

    def _pause(self, seconds):
        self.clock.advance(seconds)
        for work in self.meanwhile:
            work()

    def enter(self):
        """Register."""
        self.registration.enter(self.me)

    def twin(self, birth, name="the-name", **fields):
        """Let another worker have registered before."""
        row = a_worker(
            name=name,
            machine_id=birth.machine_id,
            pid=birth.pid,
            started_marker=birth.started_marker,
            **fields,
        )
        self.ledger.register_worker(row, [an_offer()])
        return row.id

    def alive(self):
        """The ids of the workers that live, as the ledger knows."""
        return [worker.id for worker in self.ledger.workers()]


@pytest.fixture
def office(ledger, events, tmp_path):
    """An office on an empty ledger."""
    return Office(ledger, events, tmp_path)


def of(seen, kind):
    """Return the events of a kind."""
    return [event for event in seen if isinstance(event, kind)]


def test_a_free_name_is_taken_at_once(office, seen):
    """Workers of other names are nobody's business here."""
    office.meanwhile.append(lambda: pytest.fail("it waited"))
    other = office.twin(ELSEWHERE, name="another-name")
    office.enter()
    assert [other, office.me] == office.alive()
    assert [] == seen


def test_a_twin_that_beats_is_left_alone_and_the_newcomer_refused(office):
    """Its jobs go on; the error says which process has the name, and nothing of the newcomer is left."""
    twin = office.twin(ELSEWHERE)
    lease = claimed(office.ledger, twin).lease
    office.meanwhile.append(partial(office.ledger.beat, twin))
    with pytest.raises(WorkerNameTaken, match=r"the-name.*testhost.*process 7") as refused:
        office.enter()
    assert "-n" in refused.value.advice
    assert ([twin], JobState.RUNNING) == (office.alive(), office.ledger.job(lease.job_id).state)
    assert [] == office.ledger.rescue(10)


def test_a_twin_whose_last_beat_comes_late_is_no_dead_one(office):
    """It is watched for a whole lease, and one beat in it is enough."""
    twin = office.twin(ELSEWHERE)

    def beat_late():
        if office.clock.monotonic() - 1000.0 >= LEASE_SECONDS - 1.5:
            office.ledger.beat(twin)

    office.meanwhile.append(beat_late)
    with pytest.raises(WorkerNameTaken):
        office.enter()
    assert [twin] == office.alive()


def test_a_predecessor_of_elsewhere_is_waited_for_one_lease(office, seen):
    """As a pod that comes back on another node: it starts when no beat was seen, and frees the jobs."""
    dead = office.twin(ELSEWHERE)
    lease = claimed(office.ledger, dead).lease
    office.enter()
    waited = office.clock.monotonic() - 1000.0
    assert LEASE_SECONDS <= waited <= LEASE_SECONDS + 2.0
    assert [office.me] == office.alive()
    assert ([dead], [dead]) == tuple(
        [e.worker_id for e in of(seen, k)] for k in (TwinWatched, WorkerDeclaredDead)
    )
    assert [lease.job_id] == [left.job_id for left in office.ledger.rescue(10)]


def test_a_predecessor_of_this_machine_that_is_gone_is_not_waited_for(office, seen):
    """Its pid is free, or another process's: that is proof."""
    office.meanwhile.append(lambda: pytest.fail("it waited"))
    dead = office.twin(GONE)
    office.enter()
    assert [office.me] == office.alive()
    assert [dead] == [event.worker_id for event in of(seen, WorkerDeclaredDead)]


def test_what_a_predecessor_left_on_disk_is_settled_before_its_jobs_are_free(office):
    """Register, replay, free: in this order, or the paid outcome comes too late (B16)."""
    dead = office.twin(GONE)
    spooled, unfinished = (claimed(office.ledger, dead).lease for _ in range(2))
    name = name_of(office.ledger.ledger_id, GONE, dead)
    (office.folder / f"{name}.spool").write_bytes(lines.header() + lines.line_of(a_settlement(spooled)))
    office.enter()
    done = [verb for verb, _ in office.line.calls if verb in {"register_worker", "settle", "declare_dead"}]
    assert ["register_worker", "settle", "declare_dead"] == done
    assert JobState.COMPLETED == office.ledger.job(spooled.job_id).state
    assert [unfinished.job_id] == [left.job_id for left in office.ledger.rescue(10)]


@pytest.mark.parametrize("verb", ["settle", "declare_dead", "workers"])
def test_an_outage_in_the_middle_leaves_no_row(office, verb):
    """It does not start, and whoever tries again finds everything as it was."""
    dead = office.twin(GONE)
    lease = claimed(office.ledger, dead).lease
    name = name_of(office.ledger.ledger_id, GONE, dead)
    path = office.folder / f"{name}.spool"
    path.write_bytes(lines.header() + lines.line_of(a_settlement(lease)))
    office.line.before.add(verb)
    with pytest.raises(LedgerUnavailable):
        office.enter()
    assert office.me not in office.alive()
    office.line.before.clear()
    office.me = new_worker_id()
    office.enter()
    assert [office.me] == office.alive()
    assert JobState.COMPLETED == office.ledger.job(lease.job_id).state


def test_who_is_asked_to_leave_waits_no_longer_for_a_twin(office):
    """A stop is not held up by a lease; the twin is left to others, and nothing of the newcomer stays."""
    twin = office.twin(ELSEWHERE)
    office.is_leaving = True
    with pytest.raises(AskedToLeave):
        office.enter()
    assert office.clock.monotonic() - 1000.0 <= LEASE_SECONDS / 10
    assert [twin] == office.alive()


def test_who_is_asked_to_leave_waits_no_longer_for_a_file(office):
    """Another heir has it open: the predecessor's jobs stay its own, for the next one to free."""
    dead = office.twin(GONE)
    lease = claimed(office.ledger, dead).lease

    class Locked:
        def replay(self, _ledger):
            return [f"{name_of(office.ledger.ledger_id, GONE, dead)}.spool"]

    office.registration._heir = Locked()  # noqa: SLF001 -- locks of one process do not keep itself out
    office.is_leaving = True
    with pytest.raises(AskedToLeave):
        office.enter()
    assert [dead] == office.alive()
    assert JobState.RUNNING == office.ledger.job(lease.job_id).state


def test_of_two_newcomers_one_stays(office):
    """Both found the name free; the one whose row is younger goes."""
    register = office.ledger.register_worker
    elder = []

    class Crowded(Unsteady):
        def register_worker(self, worker, offers):
            if not elder:
                # Where both came within a millisecond, the greater id is the younger.
                elder.append(office.twin(ELSEWHERE, id=WorkerId("0" * 32)))
            register(worker, offers)

    office.registration._ledger = office.registration._twins._ledger = Crowded(office.ledger)  # noqa: SLF001 -- a rival at the worst moment
    with pytest.raises(WorkerNameTaken):
        office.enter()
    assert elder == office.alive()


def test_a_younger_twin_is_its_own_business(office):
    """It finds us, and goes."""
    register = office.ledger.register_worker

    class Crowded(Unsteady):
        def register_worker(self, worker, offers):
            register(worker, offers)
            # Where both came within a millisecond, the greater id is the younger.
            office.twin(ELSEWHERE, id=WorkerId("f" * 32))

    office.registration._ledger = office.registration._twins._ledger = Crowded(office.ledger)  # noqa: SLF001 -- a rival at the worst moment
    office.enter()
    assert office.me in office.alive()


def test_the_watch_begins_anew_after_a_gap(office):
    """Who froze us may have frozen the twin: a lease counts only while we looked all along."""
    office.twin(ELSEWHERE)
    waits = []

    def freeze_once():
        waits.append(office.clock.monotonic())
        if len(waits) == 5:
            office.clock.advance(3 * LEASE_SECONDS)

    office.meanwhile.append(freeze_once)
    office.enter()
    assert office.clock.monotonic() - waits[4] >= 4 * LEASE_SECONDS


def test_jobs_of_versions_that_it_upcasts_are_the_workers_too(office):
    """It offers each of them with its own, and no other; the ledger grants by what is offered."""

    @task(
        name="tests.upcast",
        version="3",
        upcasts={"1": dict, "2": dict},
        isolated=True,
        registry=office.registry,
    )
    def upcast() -> None: ...

    office.enter()
    offers = office.ledger.offers()
    assert [("1", True), ("2", True), ("3", True)] == sorted((one.version, one.isolated) for one in offers)

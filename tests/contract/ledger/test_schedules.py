"""Schedules: exactly one job for each tick, whoever fires it, and whatever happens meanwhile (B21, B23)."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest
from alembic import command
from sqlalchemy.exc import IntegrityError

from holdfast.jobs.backlog import limits_of
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import (
    InvalidArguments,
    InvalidSchedule,
    QueueFull,
    ScheduleExists,
    ScheduleNotFound,
)
from holdfast.jobs.schedules.definition import Source, job_of_tick
from holdfast.jobs.schedules.missed import Missed
from holdfast.jobs.state import JobState
from holdfast.ledger import LedgerConfig, connect
from holdfast.ledger.engine import make_engine
from holdfast.ledger.types import instant_text
from holdfast.ledger.upgrade import alembic_config, migrate
from holdfast.tests.support.builders import TASK, a_definition, a_new_job

SECOND = timedelta(seconds=1)
ALL = 1_000


@pytest.fixture
def overdue(by_hand):
    """Let the next tick of a schedule, and the anchor of its interval, be so many seconds ago."""

    def move(seconds, name="nightly"):
        at = SystemClock().now() - seconds * SECOND
        by_hand(
            "UPDATE schedules SET next_tick = :at, anchor = :at WHERE name = :name",
            at=instant_text(at),
            name=name,
        )
        return at

    return move


def every_job(ledger):
    """Read all jobs."""
    return ledger.list_jobs(limit=10_000)


# Ticks


def test_a_schedule_waits_for_its_tick(ledger):
    """It is there with the next tick within its interval, and fires nothing before."""
    added = ledger.schedules.add(a_definition())
    assert 0 < (added.next_tick - added.created_at).total_seconds() <= 60
    assert (Source.COMMAND, None, 0, None) == (added.source, added.last_tick, added.ticks, added.paused_at)
    assert 0 < ledger.schedules.next_due() <= 60
    fired = ledger.schedules.fire(ALL)
    assert ((), (), (), False) == (fired.ticks, fired.left_out, fired.stopped, fired.is_more)
    assert [added] == ledger.schedules.listed() == [ledger.schedules.one("nightly")]
    assert [] == every_job(ledger)


def test_without_schedules_nothing_is_due(ledger):
    """And nothing fires."""
    assert None is ledger.schedules.next_due()
    assert () == ledger.schedules.fire(ALL).ticks


def test_a_tick_becomes_a_job_that_knows_its_instant(ledger, overdue):
    """With everything that the schedule says of its jobs, and an id that only this tick has."""
    ledger.schedules.add(
        a_definition(
            arguments='{"text":"good night"}',
            version="2",
            queue="reports",
            priority=7,
            tenant="acme",
            cohort=1,
            deadline_seconds=3600.0,
        )
    )
    at = overdue(2)
    (tick,) = ledger.schedules.fire(ALL).ticks
    assert ("nightly", at, TASK, "reports", 7, 1) == (
        tick.schedule, tick.at, tick.task, tick.queue, tick.priority, tick.cohort,
    )  # fmt: skip
    job = ledger.job(tick.job_id)
    assert job_of_tick("nightly", at) == job.id == f"nightly@{at:%Y-%m-%dT%H:%M:%S.%f}Z"
    assert (at, at, at + 3600 * SECOND) == (job.scheduled_for, job.run_at, job.deadline_at)
    assert (JobState.AVAILABLE, "2", '{"text":"good night"}', "acme", "schedule:nightly", 1) == (
        job.state, job.version, job.arguments, job.tenant, job.principal, job.cohort,
    )  # fmt: skip
    found = ledger.schedules.one("nightly")
    assert (at + 60 * SECOND, at, 1) == (found.next_tick, found.last_tick, found.ticks)
    assert ["enqueue"] == [moment.kind for moment in ledger.history(job.id)]


def test_the_tick_stays_with_the_job(ledger, overdue, claim):
    """A claim has it, so a handler that runs late, or again, knows for when it was meant."""
    ledger.schedules.add(a_definition())
    at = overdue(5)
    ledger.schedules.fire(ALL)
    assert at == claim().job.scheduled_for


def test_a_tick_fires_once(ledger, overdue):
    """Whoever asks again gets nothing."""
    ledger.schedules.add(a_definition())
    overdue(2)
    assert [1, 0, 0] == [len(ledger.schedules.fire(ALL).ticks) for _ in range(3)]
    assert 1 == len(every_job(ledger))


@pytest.mark.parametrize(
    ("missed", "fires", "left_out"),
    [(Missed.ALL, 4, ()), (Missed.ONE, 1, ("nightly",)), (Missed.SKIP, 0, ("nightly",))],
)
def test_what_was_missed_fires_as_the_schedule_says(ledger, overdue, missed, fires, left_out):
    """All of the ticks, or the last one, or none, as it is a minute late; and then it goes on as usual."""
    ledger.schedules.add(a_definition(missed=missed, rule="every 1h"))
    at = overdue(3 * 3600 + 600)
    fired = ledger.schedules.fire(ALL)
    assert [at + hours * 3600 * SECOND for hours in range(4)][4 - fires :] == [
        tick.at for tick in fired.ticks
    ]
    assert left_out == fired.left_out
    found = ledger.schedules.one("nightly")
    assert (at + 4 * 3600 * SECOND, fires) == (found.next_tick, found.ticks)


def test_a_long_absence_is_caught_up_in_pieces(ledger, overdue):
    """Never more jobs in one transaction than was asked for, and the others have their turn."""
    ledger.schedules.add(a_definition(name="busy", rule="every 1s", missed=Missed.ALL))
    ledger.schedules.add(a_definition(name="calm", rule="every 1h"))
    overdue(99.5, "busy")
    overdue(1, "calm")
    counts = Counter()
    while (fired := ledger.schedules.fire(20)).is_more:
        assert 0 < len(fired.ticks) <= 20
        counts.update(tick.schedule for tick in fired.ticks)
    counts.update(tick.schedule for tick in fired.ticks)
    assert counts["busy"] in {100, 101, 102, 103, 104}
    assert 1 == counts["calm"]
    busy = sorted(job.scheduled_for for job in every_job(ledger) if "busy" in job.id)
    assert {SECOND} == {later - earlier for earlier, later in pairwise(busy)}


def test_many_leaders_at_once_fire_each_tick_once(ledger, config, by_hand):
    """Eight of them, each on connections of its own, over schedules that are due several times."""
    count, behind = 100, 4
    for number in range(count):
        ledger.schedules.add(a_definition(name=f"s{number}", rule="every 1h", missed=Missed.ALL))
    at = SystemClock().now() - timedelta(hours=behind - 1, minutes=1)
    by_hand("UPDATE schedules SET next_tick = :at, anchor = :at", at=instant_text(at))
    leaders = [connect(config) for _ in range(8)]

    def lead(leader):
        fired = []
        for _ in range(10):
            fired += leader.schedules.fire(40).ticks
        return fired

    with ThreadPoolExecutor(len(leaders)) as pool:
        ticks = [tick for fired in pool.map(lead, leaders) for tick in fired]
    for leader in leaders:
        leader.close()
    ticks += ledger.schedules.fire(ALL).ticks
    expected = {(f"s{n}", at + timedelta(hours=h)) for n in range(count) for h in range(behind)}
    assert Counter(expected) == Counter((tick.schedule, tick.at) for tick in ticks)
    assert {tick.job_id for tick in ticks} == {job.id for job in every_job(ledger)}
    assert count * behind == sum(one.ticks for one in ledger.schedules.listed())


def test_a_leader_that_dies_before_the_commit_has_fired_nothing(ledger, overdue, by_hand):
    """Moving on and the job are one transaction: there is never the one without the other."""
    ledger.schedules.add(a_definition(missed=Missed.ALL))
    at = overdue(2)
    # The job's history is written last of all; a table without room for it is a death just before the end.
    by_hand("ALTER TABLE job_moments RENAME TO elsewhere")
    with pytest.raises(Exception, match="job_moments"):
        ledger.schedules.fire(ALL)
    by_hand("ALTER TABLE elsewhere RENAME TO job_moments")
    found = ledger.schedules.one("nightly")
    assert (at, 0) == (found.next_tick, found.ticks)
    assert [] == every_job(ledger)
    assert [at] == [tick.at for tick in ledger.schedules.fire(ALL).ticks]


def test_a_tick_of_a_schedule_that_was_made_again_is_the_same_tick(ledger, by_hand):
    """Its job has its name: whoever removes and adds a schedule has no instant of it twice."""
    at = instant_text(SystemClock().now() - 2 * SECOND)
    for fires in (1, 0):
        ledger.schedules.add(a_definition())
        by_hand("UPDATE schedules SET next_tick = :at, anchor = :at", at=at)
        assert fires == len(ledger.schedules.fire(ALL).ticks)
        ledger.schedules.remove("nightly")
    assert 1 == len(every_job(ledger))


def test_a_full_queue_refuses_no_tick(config, overdue):
    """There is nobody who would come back with it; who asks for a job by hand can."""
    tight = connect(
        LedgerConfig(url=config.url, schema=config.schema, backlog_limits=limits_of(["default=1"]))
    )
    tight.enqueue([a_new_job()])
    tight.schedules.add(a_definition())
    overdue(1)
    assert 1 == len(tight.schedules.fire(ALL).ticks)
    with pytest.raises(QueueFull):
        tight.schedules.run_now("nightly")
    tight.close()


def test_a_schedule_that_cannot_be_followed_is_paused_and_stops_no_other(ledger, overdue, by_hand):
    """A rule that somebody wrote by hand, or a newer version did: it says why, and the others tick."""
    for name in ("broken", "good", "lost"):
        ledger.schedules.add(a_definition(name=name))
        overdue(2, name)
    by_hand("UPDATE schedules SET rule = 'at noon' WHERE name = 'broken'")
    by_hand("UPDATE schedules SET zone = 'Mars/Olympus' WHERE name = 'lost'")
    fired = ledger.schedules.fire(ALL)
    assert {"good"} == {tick.schedule for tick in fired.ticks}
    assert {"broken", "lost"} == {name for name, _ in fired.stopped}
    found = {one.name: one for one in ledger.schedules.listed()}
    assert "at noon" in found["broken"].pause_reason
    assert "Mars/Olympus" in found["lost"].pause_reason
    with pytest.raises(InvalidSchedule):
        ledger.schedules.resume("broken")
    ledger.schedules.add(a_definition(name="broken"), replace=True)
    assert ledger.schedules.resume("broken")


def test_a_thousand_schedules_fire_together(ledger, by_hand):
    """In one call, each its own tick."""
    ledger.schedules.declare(
        [a_definition(name=f"s{number}", rule="every 1s") for number in range(ALL)], release=1, tasks=[TASK]
    )
    by_hand(
        "UPDATE schedules SET next_tick = :at, anchor = :at", at=instant_text(SystemClock().now() - SECOND)
    )
    fired = ledger.schedules.fire(ALL)
    assert ALL == len({tick.job_id for tick in fired.ticks}) == len(every_job(ledger))


# An operator's hand


def test_pause_and_resume(ledger, overdue):
    """A paused schedule fires nothing and is nobody's next; resumed, it goes on from now."""
    ledger.schedules.add(a_definition(missed=Missed.ALL, rule="every 1h"))
    at = overdue(2 * 3600 + 5)
    assert ledger.schedules.pause("nightly", "the night is over")
    assert not ledger.schedules.pause("nightly", "again")
    assert "the night is over" == ledger.schedules.one("nightly").pause_reason
    assert () == ledger.schedules.fire(ALL).ticks
    assert None is ledger.schedules.next_due()
    assert ledger.schedules.resume("nightly")
    assert not ledger.schedules.resume("nightly")
    found = ledger.schedules.one("nightly")
    assert (at + 3 * 3600 * SECOND, None, "") == (found.next_tick, found.paused_at, found.pause_reason)
    assert () == ledger.schedules.fire(ALL).ticks


def test_run_now(ledger):
    """A job of this moment, also of a paused schedule; the ticks do not change."""
    before = ledger.schedules.add(a_definition(deadline_seconds=60.0))
    ledger.schedules.pause("nightly")
    first, second = (ledger.schedules.run_now("nightly") for _ in range(2))
    assert first.job_id != second.job_id
    job = ledger.job(first.job_id)
    assert (JobState.AVAILABLE, "schedule:nightly") == (job.state, job.principal)
    assert job.deadline_at == job.scheduled_for + 60 * SECOND
    after = ledger.schedules.one("nightly")
    assert (before.next_tick, 0) == (after.next_tick, after.ticks)


def test_who_is_not_there_is_not_found(ledger):
    """Every verb on one schedule says so."""
    schedules = ledger.schedules
    for verb in (schedules.one, schedules.pause, schedules.resume, schedules.remove, schedules.run_now):
        with pytest.raises(ScheduleNotFound, match="nowhere"):
            verb("nowhere")


def test_add_replace_and_remove(ledger, overdue):
    """Another definition under a name needs a word; counts stay, and a new rule counts from now on."""
    ledger.schedules.add(a_definition())
    at = overdue(2)
    ledger.schedules.fire(ALL)
    with pytest.raises(ScheduleExists, match="nightly"):
        ledger.schedules.add(a_definition(queue="other"))
    same_rule = ledger.schedules.add(a_definition(queue="other"), replace=True)
    assert ("other", at + 60 * SECOND, 1) == (
        same_rule.definition.queue, same_rule.next_tick, same_rule.ticks,
    )  # fmt: skip
    other = ledger.schedules.add(a_definition(rule="0 0 1 1 *", zone="Asia/Tokyo"), replace=True)
    assert ("31 15:00", 1) == (f"{other.next_tick:%d %H:%M}", other.ticks)
    ledger.schedules.remove("nightly")
    assert [] == ledger.schedules.listed()
    assert 1 == len(every_job(ledger))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""}, {"name": "a b"}, {"name": "x" * 201}, {"rule": "* *"}, {"zone": "nowhere"},
        {"deadline_seconds": 0.0}, {"deadline_seconds": float("nan")}, {"rule": "x" * 300},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_not_written(ledger, fields):
    """An error of ours, and nothing is there."""
    with pytest.raises(InvalidSchedule):
        ledger.schedules.add(a_definition(**fields))
    assert [] == ledger.schedules.listed()


@pytest.mark.parametrize(
    "fields", [{"task": "x" * 300}, {"tenant": "a\0b"}, {"priority": 10}, {"arguments": "x" * 2_000_000}]
)
def test_what_no_job_could_hold_is_not_written(ledger, fields):
    """It is refused now, and not at the first tick."""
    with pytest.raises(InvalidArguments):
        ledger.schedules.add(a_definition(**fields))
    assert [] == ledger.schedules.listed()


@pytest.mark.parametrize(
    "change",
    [
        "missed = 'maybe'", "source = 'gossip'", "release = -1", "ticks = -1", "priority = 10", "name = ''",
        "cohort = 0",
    ],
)  # fmt: skip
def test_the_table_refuses_what_no_program_may_write(ledger, by_hand, change):
    """The rules hold for whoever writes by hand, too."""
    ledger.schedules.add(a_definition())
    with pytest.raises(IntegrityError):
        by_hand("UPDATE schedules SET " + change)  # noqa: S608 -- one of the table above


# Code


def test_code_declares_upwards_only(ledger):
    """A higher release changes what a lower one declared; a lower one that comes late changes nothing."""

    def declare(release, **fields):
        return ledger.schedules.declare([a_definition(**fields)], release=release, tasks=[TASK])

    assert ("nightly",) == declare(1).added
    assert ("nightly",) == declare(2, queue="new").changed
    for release in (1, 0):
        late = declare(release)
        assert ((), (), (), ()) == (late.added, late.changed, late.removed, late.refused)
    found = ledger.schedules.one("nightly")
    assert (2, "new", Source.CODE) == (found.release, found.definition.queue, found.source)
    assert () == declare(2, queue="new").refused
    ((name, why),) = declare(2, queue="other").refused
    assert "nightly" == name
    assert "release 2" in why
    assert "new" == ledger.schedules.one("nightly").definition.queue


def test_a_release_keeps_what_a_schedule_has_come_to(ledger, overdue):
    """Its next tick while the rule is the same, its counts, and an operator's pause."""
    ledger.schedules.declare([a_definition()], release=1, tasks=[TASK])
    at = overdue(2)
    ledger.schedules.fire(ALL)
    ledger.schedules.pause("nightly", "not now")
    ledger.schedules.declare([a_definition(version="2")], release=2, tasks=[TASK])
    found = ledger.schedules.one("nightly")
    assert (at + 60 * SECOND, 1, "not now", "2") == (
        found.next_tick, found.ticks, found.pause_reason, found.definition.version,
    )  # fmt: skip


def test_what_a_release_declares_no_more_is_removed(ledger):
    """Of the tasks that it knows: another part of the fleet may have other modules."""
    mine, others = a_definition(name="mine"), a_definition(name="theirs", task="other.task")
    ledger.schedules.declare([mine, others], release=1, tasks=[TASK, "other.task"])
    ledger.schedules.add(a_definition(name="hand"))
    assert () == ledger.schedules.declare([], release=1, tasks=[TASK]).removed
    assert ("mine",) == ledger.schedules.declare([], release=2, tasks=[TASK]).removed
    assert ["hand", "theirs"] == sorted(one.name for one in ledger.schedules.listed())


def test_an_operators_schedule_stays_what_it_is(ledger):
    """No release of the code changes or removes it, and the worker that wanted to hears why."""
    ledger.schedules.declare([a_definition()], release=1, tasks=[TASK])
    ledger.schedules.add(a_definition(rule="every 5s"), replace=True)
    ((_, why),) = ledger.schedules.declare([a_definition()], release=9, tasks=[TASK]).refused
    assert "operator" in why
    ledger.schedules.declare([], release=10, tasks=[TASK])
    assert "every 5s" == ledger.schedules.one("nightly").definition.rule


def test_releases_that_declare_at_once_leave_the_highest(ledger, config):
    """Eight workers of four releases start together; then the old ones start again."""
    workers = [(connect(config), release) for release in (1, 2, 3, 4, 4, 3, 2, 1)]

    def declare(worker):
        opened, release = worker
        wanted = [a_definition(name=f"s{n}", queue=f"q{release}") for n in range(20)]
        return opened.schedules.declare(wanted, release=release, tasks=[TASK])

    with ThreadPoolExecutor(len(workers)) as pool:
        done = list(pool.map(declare, workers))
    assert 20 == len({name for one in done for name in (*one.added, *one.changed)})
    for worker in workers[4:]:
        declare(worker)
        worker[0].close()
    for worker in workers[:4]:
        worker[0].close()
    assert {"q4"} == {one.definition.queue for one in ledger.schedules.listed()}


def test_the_way_back_and_forth(config, ledger, overdue):
    """The migration can be undone and done again; the jobs of ticks stay."""
    ledger.schedules.add(a_definition())
    overdue(2)
    (tick,) = ledger.schedules.fire(ALL).ticks
    engine = make_engine(config)
    schema = config.schema if config.url.startswith("postgresql") else None
    with engine.connect() as connection, connection.begin():
        mapped = connection.execution_options(schema_translate_map={None: schema}) if schema else connection
        command.downgrade(alembic_config(mapped, schema), "0006")
    engine.dispose()
    migrate(config)
    assert [] == ledger.schedules.listed()
    assert None is ledger.job(tick.job_id).scheduled_for

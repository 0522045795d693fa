"""Metrics count what happened, under bounded labels."""

import dataclasses
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from holdfast.jobs import events
from holdfast.jobs.job import DEFAULT_QUEUE
from holdfast.monitoring.labels import OTHER, BoundedLabels
from holdfast.monitoring.levels import Levels
from holdfast.monitoring.metrics import Metrics


@dataclass
class Waiting:
    """A count as the ledger gives it."""

    queue: str
    state: str
    count: int
    oldest_seconds: float | None


def _samples(metrics):
    text = metrics.page()[1].decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _settled(**fields):
    return events.JobSettled(
        **{"job_id": "j", "task": "t", "queue": "q", "outcome": "completed", "state": "completed"} | fields
    )


def test_settled_attempt_is_counted_and_timed():
    """An ended attempt raises one counter and fills one histogram, with what it came to."""
    metrics = Metrics()
    metrics(_settled(seconds=3.0))
    samples = _samples(metrics)
    labels = (("outcome", "completed"), ("queue", "q"), ("reason", ""), ("state", "completed"), ("task", "t"))
    assert 1 == samples["holdfast_attempts_settled_total", *labels]
    assert (
        3 == samples["holdfast_attempt_seconds_sum", ("outcome", "completed"), ("queue", "q"), ("task", "t")]
    )


def test_what_a_full_queue_refused_is_counted_by_job():
    """A refused batch of seven is seven jobs, by class."""
    metrics = Metrics()
    for asked in (7, 1):
        metrics(events.JobsRefused("t", "q", "bulk", asked, limit=5, retry_after_seconds=1.0))
    labels = (("job_class", "bulk"), ("queue", "q"), ("task", "t"))
    assert 8 == _samples(metrics)["holdfast_jobs_refused_total", *labels]


def test_every_kind_of_event_can_be_counted():
    """No event of the vocabulary upsets the metrics, and none adds a label of a job or a host."""
    metrics = Metrics()
    for kind in _kinds(events.Event):
        fields = {field.name: _value(field.type) for field in dataclasses.fields(kind)}
        metrics(kind(**fields))
    assert not {"job_id", "worker_id", "pid", "host", "hostname"} & {
        name for sample in _samples(metrics) for name, _ in sample[1:]
    }


def test_free_text_is_no_label():
    """A reason in somebody's own words counts as other; our own words stay."""
    metrics = Metrics()
    metrics(_settled(reason="customer 4711 complained"))
    metrics(_settled(reason="deadline"))
    reasons = {dict(sample[1:])["reason"] for sample in _samples(metrics) if "settled_total" in sample[0]}
    assert {OTHER, "deadline"} == reasons


def test_names_from_outside_cannot_fill_the_memory():
    """Ten thousand made-up task names give a few hundred series."""
    metrics = Metrics()
    for number in range(10_000):
        metrics(events.JobAdopted(job_id="j", task=f"made.up.{number}", queue=DEFAULT_QUEUE))
    series = [sample for sample in _samples(metrics) if sample[0] == "holdfast_jobs_adopted_total"]
    assert 201 == len(series)


def test_bounded_labels_remember_who_came_first():
    """A value that was let through once stays itself."""
    bounded = BoundedLabels(most=2)
    assert ["a", "b", OTHER, "a"] == [bounded("task", value) for value in "abca"]
    assert "c" == bounded("queue", "c")


def test_levels_are_read_at_the_scrape():
    """Slots, running jobs and the ledger's queues are gauges with the age of the oldest job."""
    metrics = Metrics(
        lambda: Levels(10, 3, [Waiting("q", "available", 7, 12.5), Waiting("q", "parked", 1, None)])
    )
    samples = _samples(metrics)
    assert 10 == samples[("holdfast_worker_slots",)]
    assert 7 == samples["holdfast_jobs", ("queue", "q"), ("state", "available")]
    assert 12.5 == samples["holdfast_jobs_oldest_seconds", ("queue", "q"), ("state", "available")]
    assert ("holdfast_jobs_oldest_seconds", ("queue", "q"), ("state", "parked")) not in samples
    assert 1 == samples[("holdfast_levels_readable",)]


def test_ledger_that_is_away_costs_the_levels_only():
    """When the levels cannot be read the page says so, and still has the counters."""
    metrics = Metrics(lambda: 1 / 0)
    metrics(events.JobsStaged(count=4))
    samples = _samples(metrics)
    assert 0 == samples[("holdfast_levels_readable",)]
    assert 4 == samples[("holdfast_jobs_staged_total",)]
    assert ("holdfast_worker_slots",) not in samples


def test_many_scrapes_ask_once():
    """Scrapes in a row do not hammer the ledger."""
    asked = []
    metrics = Metrics(lambda: asked.append(1) or Levels(1, 0))
    for _ in range(5):
        metrics.page()
    assert 1 == len(asked)


@dataclass
class Parked:
    """A group of parked jobs as the ledger gives it."""

    waiting_for: str
    waiting: int


def test_who_is_parked_is_counted_by_upstream():
    """What they wait for otherwise has any number of names, and is one."""
    groups = [Parked("upstream:search", 2), Parked("upstream:search", 3), Parked("upstream:mail", 1)]
    metrics = Metrics(lambda: Levels(1, 0, (), groups))
    metrics(events.JobParked("j", "t", "q", waiting_for="upstream:search"))
    metrics(events.JobParked("j", "t", "q", waiting_for="approval:4711"))
    metrics(events.JobReleased("j", "t", "q", upstream="search", waited_seconds=7.0))
    samples = _samples(metrics)
    job, search = (("queue", "q"), ("task", "t")), ("upstream", "search")
    assert 1 == samples["holdfast_jobs_parked_total", *job, search]
    assert 1 == samples["holdfast_jobs_parked_total", *job, ("upstream", OTHER)]
    assert 1 == samples["holdfast_jobs_released_total", *job, search]
    assert 7 == samples["holdfast_parked_seconds_sum", search]
    assert 5 == samples["holdfast_parked_jobs", search]
    assert 1 == samples["holdfast_parked_jobs", ("upstream", "mail")]


def _kinds(kind):
    for child in kind.__subclasses__():
        yield child
        yield from _kinds(child)


def _value(annotation):
    return {"str": "x", "bool": True, "int": 1, "float": 1.0}[getattr(annotation, "__name__", annotation)]

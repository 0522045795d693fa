"""The guard of an upstream by its name: as it was declared, one object, and never too many of them."""

import threading

import pytest

from holdfast.jobs.errors import BreakerOpen, BulkheadFull
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.limits.bulkhead import Bulkhead
from holdfast.resilience.limits.bulkhead_layer import BulkheadLayer

QUICK = BreakerPolicy(streak=3)


@pytest.fixture
def fleet(monkeypatch):
    """A process on its own, that reports when it is told to."""
    made = Fleet()
    monkeypatch.setattr(made.reporter, "start", lambda: None)
    return made


def fail(guard: Guard, times: int) -> None:
    """Let so many calls fail, and tell of them."""

    def call() -> None:
        raise ConnectionError

    for _ in range(times):
        with pytest.raises(ConnectionError):
            guard.call(call)
    guard.fleet.reporter.report_all()


def test_the_name_gives_the_guard_that_was_declared(fleet):
    """With its limits, which are what it was declared for."""
    places = Bulkhead(1)
    declared = Guard("search", limits=[BulkheadLayer(places)], fleet=fleet)
    assert declared is Guard.of("search", fleet=fleet)
    places.acquire()
    with pytest.raises(BulkheadFull):
        Guard.of("search", fleet=fleet).call(list)


def test_a_name_without_a_guard_gives_one_with_the_defaults(fleet):
    """The same one each time, also to threads that ask together for the first time."""
    together, found = threading.Barrier(8), []

    def ask() -> None:
        together.wait()
        found.append(Guard.of("search", fleet=fleet))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id(Guard.of("search", fleet=fleet))} == {id(one) for one in found}
    assert ("search", BreakerPolicy()) == (found[0].name, found[0].policy)


def test_a_guard_that_is_declared_late_takes_the_place(fleet):
    """And has the breaker that was there before."""
    early = Guard.of("search", fleet=fleet)
    late = Guard("search", timeout_seconds=5.0, fleet=fleet)
    assert late is Guard.of("search", fleet=fleet)
    assert early.breaker is late.breaker


def test_guards_of_equal_options_are_one_to_their_name(fleet):
    """A module that is loaded twice changes nothing."""
    first, second = (Guard("search", timeout_seconds=5.0, breaker=QUICK, fleet=fleet) for _ in range(2))
    assert first is not second
    assert first is Guard.of("search", fleet=fleet)


def test_a_name_that_means_two_guards_is_an_error(fleet):
    """Each of them works; which one the name means nobody can tell, and a limit must not be passed by."""
    free, bounded = (
        Guard("search", fleet=fleet),
        Guard("search", limits=[BulkheadLayer(Bulkhead(1))], fleet=fleet),
    )
    assert [[], []] == [free.call(list), bounded.call(list)]
    with pytest.raises(ValueError, match="'search' has several guards"):
        Guard.of("search", fleet=fleet)


@pytest.mark.parametrize("wrong", ["", "a\nb", "x" * 129])
def test_a_name_that_cannot_be_one_is_an_error(fleet, wrong):
    """And leaves nothing behind."""
    with pytest.raises(ValueError, match="1 to 128 printable characters"):
        Guard.of(wrong, fleet=fleet)


def test_names_that_come_from_data_do_not_fill_the_memory():
    """The oldest that are idle make room; one that was declared, or that a task names, stays."""
    fleet = Fleet(most_keyed=10)
    declared = Guard("declared", fleet=fleet)
    assert fleet.refusal("named") is None
    named = Guard.of("named", fleet=fleet)
    first = Guard.of("host 0", fleet=fleet)
    for number in range(1, 50):
        Guard.of(f"host {number}", fleet=fleet)
    assert declared is Guard.of("declared", fleet=fleet)
    assert named is Guard.of("named", fleet=fleet)
    assert first is not Guard.of("host 0", fleet=fleet)
    kept = [number for number in range(50) if fleet.known(f"host {number}") is not None]
    assert 10 == len(kept)


@pytest.mark.parametrize("is_asked_first", [True, False])
@pytest.mark.parametrize("policy", [BreakerPolicy(), QUICK])
def test_a_task_that_names_one_of_many_keys_hears_of_its_outage(fleet, policy, is_asked_first):
    """Whether the task or the first call comes first, they mean one breaker."""
    model = Guard("model", breaker=policy, retry=None, fleet=fleet)
    if is_asked_first:
        assert fleet.refusal("model[one]") is None
    fail(model.for_key("one"), policy.streak)
    with pytest.raises(BreakerOpen):
        model.for_key("one").call(list)
    assert isinstance(fleet.refusal("model[one]"), BreakerOpen)
    assert model.for_key("one").breaker is fleet.known("model[one]")

"""What counts as the same, and what becomes of a request whose key is held: tables, and no database."""

import json
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs.errors import InvalidOption, NotUnique
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import JobState
from holdfast.jobs.unique import UNTIL_ENDED, UNTIL_STARTED, Holder, Unique, key_of, resolve

ALL = frozenset(JobState)
HOLDER = JobId("the-holder")


def digest(arguments='{"a":1,"b":2}', *, task="t", tenant=None, **rule):
    """Return the digest of a request under a rule."""
    return key_of(task, tenant, arguments, Unique(**rule)).digest


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"on_conflict": "ignore"}, "on_conflict is 'ignore'"),
        ({"by": "document_id"}, "by is a text"),
        ({"states": frozenset({JobState.RUNNING})}, "must hold `scheduled` and `available`"),
        ({"states": UNTIL_STARTED | {"lost"}}, "only states"),
        ({"seconds": 0}, "seconds is 0"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds": 400 * 24 * 3600.0}, "up to 366 days"),
        ({"longest_seconds": 0.0}, "longest_seconds"),
        ({"longest_seconds": float("inf")}, "longest_seconds"),
        ({"states": ALL}, "Say for how many `seconds`"),
        ({"on_conflict": "cancel_running", "states": UNTIL_STARTED}, "until the job has ended"),
        ({"on_conflict": "cancel_running", "seconds": 5}, "until the job has ended"),
    ],
)
def test_what_makes_no_sense_is_refused(rule, said):
    """At the decorator, before any job is enqueued under it."""
    with pytest.raises(InvalidOption, match=said):
        Unique(**rule)


def test_a_rule_cannot_be_changed():
    """It is shared by every call."""
    with pytest.raises(FrozenInstanceError):
        Unique().seconds = 1.0  # type: ignore[misc] -- it is what must fail


def test_equal_arguments_are_the_same_whatever_their_order():
    """The key is made of values and not of a text."""
    assert digest('{"a":1,"b":{"x":1,"y":2}}') == digest('{"b":{"y":2,"x":1},"a":1}')
    assert digest('{"a":1}') != digest('{"a":"1"}')
    assert digest('{"a":1}') != digest('{"a":1,"b":null}')


def test_only_the_named_arguments_count():
    """Two calls that differ elsewhere are the same; of no names there is one job of the task."""
    assert digest('{"a":1,"b":2}', by=("a",)) == digest('{"a":1,"b":3}', by=("a",))
    assert digest('{"a":1,"b":2}', by=("a",)) != digest('{"a":2,"b":2}', by=("a",))
    assert digest('{"a":1}', by=()) == digest('{"a":2}', by=())


def test_tasks_and_tenants_are_apart():
    """Unless the rule says that a tenant is no difference; no tenant is a tenant like any other."""
    assert digest(task="t") != digest(task="u")
    assert digest(tenant="north") != digest(tenant="south")
    assert digest(tenant="north") != digest()
    assert digest(tenant="north", per_tenant=False) == digest(tenant="south", per_tenant=False)
    assert digest(per_tenant=False) != digest(per_tenant=True)


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.integers())
)
def test_any_object_has_one_key(values):
    """Written in any order and with any spaces, it is the same key."""
    backwards = dict(reversed(values.items()))
    assert digest(json.dumps(values)) == digest(json.dumps(backwards, indent=1))


WAITING, RUNNING, OVER = JobState.SCHEDULED, JobState.RUNNING, JobState.COMPLETED


@pytest.mark.parametrize(
    ("on_conflict", "state", "was_claimed", "expected"),
    [
        ("return", WAITING, False, "returned"),
        ("return", OVER, True, "returned"),
        ("drop", RUNNING, True, "dropped"),
        ("replace", WAITING, False, "replaced"),
        ("replace", JobState.AVAILABLE, False, "replaced"),
        ("replace", JobState.PARKED, False, "replaced"),
        ("replace", WAITING, True, "returned"),
        ("replace", RUNNING, True, "returned"),
        ("replace", JobState.CANCELLED, False, "returned"),
        ("debounce", WAITING, False, "moved"),
        ("debounce", JobState.AVAILABLE, False, "replaced"),
        ("debounce", WAITING, True, "returned"),
        ("debounce", RUNNING, True, "returned"),
        ("cancel_running", WAITING, False, "superseded"),
        ("cancel_running", WAITING, True, "superseded"),
        ("cancel_running", JobState.PARKED, True, "superseded"),
        ("cancel_running", RUNNING, True, "waits"),
    ],
)
def test_what_becomes_of_a_request(on_conflict, state, was_claimed, expected):
    """A job that has begun is never given other arguments, and what is due is not put off."""
    assert expected == resolve(Unique(on_conflict=on_conflict), Holder(HOLDER, state, was_claimed))


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize(
    "rule",
    [
        {"on_conflict": "reject"},
        {"on_conflict": "replace", "if_started": "reject"},
        {"on_conflict": "debounce", "if_started": "reject"},
    ],
)
def test_a_refusal_names_the_job_that_holds_the_key(rule, state):
    """Who is refused knows what to wait for."""
    with pytest.raises(NotUnique, match=r"the-holder.*again when that job has ended") as told:
        resolve(Unique(**rule), Holder(HOLDER, state, was_claimed=True))
    assert (HOLDER, "not_unique") == (told.value.job_id, told.value.code)


@pytest.mark.parametrize(
    "rule",
    [
        Unique(),
        Unique(by=()),
        Unique(by=("a", "b"), per_tenant=False, states=ALL, seconds=60.0, on_conflict="debounce"),
        Unique(on_conflict="replace", if_started="reject", states=UNTIL_STARTED, longest_seconds=5.0),
    ],
)
def test_a_rule_travels_as_json(rule):
    """Workers publish it for those who know the task by its name alone."""
    assert rule == Unique.from_json(json.loads(json.dumps(rule.as_json())))


@pytest.mark.parametrize("said", [{}, {"by": "x", "states": []}, {"by": "arguments", "states": ["lost"]}])
def test_a_rule_of_another_version_is_an_error(said):
    """It is never half understood."""
    with pytest.raises((InvalidOption, LookupError, TypeError, ValueError)):
        Unique.from_json(said)
    with pytest.raises(TypeError):
        Unique.from_json({**Unique().as_json(), "new": 1})


def test_the_states_have_names():
    """Final states are in neither of the two."""
    assert {JobState.RUNNING, JobState.PARKED} == UNTIL_ENDED - UNTIL_STARTED
    assert UNTIL_ENDED.isdisjoint({JobState.COMPLETED, JobState.CANCELLED, JobState.QUARANTINED})

"""A message of a plain Celery producer, read as a job or refused with the reason (B8)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs.job import DEFAULT_PRIORITY
from holdfast.jobs.state import QuarantineReason
from holdfast.tasks import Registry, task
from holdfast.workers.adoption import PRINCIPAL, Adoptable, ForeignMessage, Refused, read

REGISTRY = Registry()
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
INVALID, UNDECODABLE = QuarantineReason.INVALID_PAYLOAD, QuarantineReason.UNDECODABLE


@task(name="mail.send", registry=REGISTRY, queue="mail", version="3")
async def send(to: str, copies: int = 1) -> str:
    """Take a message."""
    return to * copies


@task(name="mail.open", registry=REGISTRY, adopt=True)
async def open_one(to: str) -> str:
    """Always adopted."""
    return to


@task(name="mail.closed", registry=REGISTRY, adopt=False)
async def closed(to: str) -> str:
    """Never adopted."""
    return to


def a_message(*, payload=None, priority=None, **headers):
    """What `send.apply_async(...)` of a plain producer puts on the wire."""
    base = {
        "lang": "py", "task": "mail.send", "id": "0193-a", "eta": None, "expires": None, "group": None,
        "retries": 0, "timelimit": [None, None], "root_id": "0193-a", "parent_id": None, "stamps": {},
        "stamped_headers": None, "origin": "gen1@host",
    }  # fmt: skip
    body = [[], {"to": "x"}, EMBED] if payload is None else payload
    return ForeignMessage({**base, **headers}, body, priority)


def test_a_plain_message_becomes_a_job():
    """Task, version and queue come from the task; who asked is `broker`, no tenant, normal priority."""
    answer = read(a_message(), REGISTRY, adopts=True)
    assert isinstance(answer, Adoptable)
    job = answer.job
    assert ("0193-a", "mail.send", "3", "mail", '{"to":"x"}') == (
        job.id, job.task, job.version, job.queue, job.arguments,
    )  # fmt: skip
    assert (PRINCIPAL, None, DEFAULT_PRIORITY, None) == (job.principal, job.tenant, job.priority, job.key)


NOON = "2030-01-01T12:00:00"

MAPPED = [
    ({"eta": f"{NOON}+00:00"}, {"run_at": datetime(2030, 1, 1, 12, tzinfo=UTC)}),
    ({"eta": f"{NOON}+02:00"}, {"run_at": datetime(2030, 1, 1, 10, tzinfo=UTC)}),
    ({"eta": NOON}, {"run_at": datetime(2030, 1, 1, 12, tzinfo=UTC)}),
    ({"eta": f"{NOON}Z"}, {"run_at": datetime(2030, 1, 1, 12, tzinfo=UTC)}),
    ({"expires": f"{NOON}+00:00"}, {"deadline_at": datetime(2030, 1, 1, 12, tzinfo=UTC)}),
    ({"timelimit": [30, 20.5]}, {"hard_timeout_seconds": 30.0, "soft_timeout_seconds": 20.5}),
    ({"timelimit": [None, 5]}, {"hard_timeout_seconds": None, "soft_timeout_seconds": 5.0}),
    ({"timelimit": None}, {"hard_timeout_seconds": None, "soft_timeout_seconds": None}),
    ({"priority": 3}, {"priority": 3}),
    ({"priority": 9}, {"priority": 9}),
    ({"priority": 0}, {"priority": DEFAULT_PRIORITY}),
    ({"retries": 4}, {}),
    ({"ignore_result": True, "shadow": "x", "argsrepr": "()"}, {}),
    ({"traceparent": "00-ab-cd-01"}, {"trace": "00-ab-cd-01"}),
    ({"traceparent": 7}, {"trace": None}),
    ({"payload": [["x"], {}, EMBED]}, {"arguments": '{"to":"x"}'}),
    ({"payload": [["x", 2], {}, None]}, {"arguments": '{"to":"x","copies":2}'}),
    ({"payload": [[], {"to": "x", "copies": "2"}, {}]}, {"arguments": '{"to":"x","copies":2}'}),
]


@pytest.mark.parametrize(("options", "fields"), MAPPED, ids=lambda value: str(value)[:50])
def test_what_celerys_options_become(options, fields):
    """Each option that has a meaning here becomes a column; the others are read and left."""
    answer = read(a_message(**options), REGISTRY, adopts=True)
    assert isinstance(answer, Adoptable), answer
    assert fields == {name: getattr(answer.job, name) for name in fields}


CANVAS = [{name: ["x"]} for name in EMBED]

REFUSED = [
    ({"task": None}, UNDECODABLE, "task or id"),
    ({"task": ["mail.send"]}, UNDECODABLE, "task or id"),
    ({"task": ""}, UNDECODABLE, "task or id"),
    ({"task": "x" * 256}, UNDECODABLE, "task or id"),
    ({"id": None}, UNDECODABLE, "task or id"),
    ({"id": 7}, UNDECODABLE, "task or id"),
    ({"id": "two words"}, UNDECODABLE, "task or id"),
    ({"id": "x" * 256}, UNDECODABLE, "task or id"),
    ({"id": "line\n"}, UNDECODABLE, "task or id"),
    ({"task": "mail.lost"}, QuarantineReason.UNKNOWN_TASK, "mail.lost"),
    ({"task": "mail.closed"}, QuarantineReason.PERMANENT, "adopt=True"),
    ({"payload": {}}, INVALID, "list"),
    ({"payload": "x"}, INVALID, "list"),
    ({"payload": [[], {}]}, INVALID, "list"),
    ({"payload": ["abc", {}, EMBED]}, INVALID, "arguments"),
    ({"payload": [[], [], EMBED]}, INVALID, "keywords"),
    ({"payload": [[], {"to": "x"}, ["chain"]]}, INVALID, "embeds"),
    ({"payload": [[], {"to": "x"}, "chain"]}, INVALID, "embeds"),
    *[({"payload": [[], {"to": "x"}, one]}, INVALID, f"unsupported:{next(iter(one))}") for one in CANVAS],
    ({"group": "g1"}, INVALID, "unsupported:group"),
    ({"stamps": {"a": 1}}, INVALID, "unsupported:stamps"),
    ({"stamped_headers": ["a"]}, INVALID, "unsupported:stamps"),
    ({"payload": [[], {}, EMBED]}, INVALID, "to"),
    ({"payload": [[], {"to": 1}, EMBED]}, INVALID, "to"),
    ({"payload": [["a", 1, 2], {}, EMBED]}, INVALID, "too many"),
    ({"payload": [[], {"to": "x", "bcc": "y"}, EMBED]}, INVALID, "bcc"),
    ({"payload": [[], {"to": "a\0b"}, EMBED]}, INVALID, "NUL"),
    ({"eta": "soon"}, INVALID, "eta"),
    ({"eta": 7}, INVALID, "eta"),
    ({"eta": "0001-01-01T00:00:00+14:00"}, INVALID, "calendar"),
    ({"expires": "9999-12-31T23:59:59-14:00"}, INVALID, "calendar"),
    ({"expires": {"a": 1}}, INVALID, "expires"),
    ({"timelimit": 7}, INVALID, "pair"),
    ({"timelimit": [1]}, INVALID, "pair"),
    ({"timelimit": ["1", None]}, INVALID, "seconds"),
    ({"timelimit": [True, None]}, INVALID, "seconds"),
    ({"timelimit": [0, None]}, INVALID, "seconds"),
    ({"timelimit": [-1, None]}, INVALID, "seconds"),
    ({"timelimit": [float("nan"), None]}, INVALID, "seconds"),
    ({"timelimit": [None, float("inf")]}, INVALID, "seconds"),
    ({"timelimit": [10**400, None]}, INVALID, "seconds"),
    ({"priority": 10}, INVALID, "priority"),
    ({"priority": -1}, INVALID, "priority"),
]


@pytest.mark.parametrize(("options", "reason", "words"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_is_refused_and_why(options, reason, words):
    """What cannot be kept is put aside with words that say what and where, never run a little differently."""
    answer = read(a_message(**options), REGISTRY, adopts=True)
    assert isinstance(answer, Refused), answer
    assert reason is answer.reason
    assert words in answer.detail
    assert (answer.job is None) == (reason is UNDECODABLE)


@pytest.mark.parametrize(
    ("name", "adopts", "kind"),
    [
        ("mail.send", True, Adoptable), ("mail.send", False, Refused),
        ("mail.open", False, Adoptable), ("mail.closed", True, Refused),
    ],
)  # fmt: skip
def test_a_tasks_own_word_wins_over_the_setting(name, adopts, kind):
    """`adopt=` on the task decides; without it the setting does."""
    assert kind is type(read(a_message(task=name), REGISTRY, adopts=adopts))


def test_the_same_message_has_the_same_digest_and_another_has_another():
    """So that a redelivery is told from an id that was used again."""

    def digest(**options):
        return read(a_message(**options), REGISTRY, adopts=True).digest

    assert digest() == digest(retries=1, origin="elsewhere")
    others = [
        {"payload": [[], {"to": "y"}, EMBED]}, {"eta": NOON}, {"expires": NOON}, {"timelimit": [1, None]},
        {"task": "mail.open"},
    ]  # fmt: skip
    assert 1 + len(others) == len({digest(), *(digest(**other) for other in others)})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "task": st.sampled_from(["mail.send", "mail.open"]) | JSON,
        "id": st.just("0193-a") | JSON,
        **dict.fromkeys(("eta", "expires", "timelimit", "group", "stamps", "stamped_headers"), JSON),
        "traceparent": JSON,
    },
)
BODIES = JSON | st.tuples(st.lists(JSON, max_size=3), st.dictionaries(st.text(), JSON), JSON).map(list)


@given(HEADERS, BODIES, st.none() | st.integers())
def test_no_message_raises(headers, payload, priority):
    """Whatever stands in a message, the answer is a job that can be written or a refusal with a reason."""
    answer = read(ForeignMessage(headers, payload, priority), REGISTRY, adopts=True)
    if isinstance(answer, Refused):
        assert answer.detail
    else:
        assert 0 <= answer.job.priority <= 9

"""The task `webhook`, as a worker runs it, against a real server."""

import json
import logging

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.codec import decode
from holdfast.jobs.errors import InvalidArguments
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.tasks.agents.webhook import jobs
from holdfast.tasks.agents.webhook.jobs import OUTBOUND, PATIENT, webhook
from holdfast.tasks.outbound import AddressRules
from holdfast.testing import Platform
from holdfast.tests.support.strange_http import answer, strange_server

OUTSIDE = "127.0.0.2"


@pytest.fixture
def fleet(monkeypatch):
    """Breakers of this test alone."""
    made = Fleet()
    monkeypatch.setattr(jobs, "GUARD", Guard("webhook", retry=None, fleet=made))
    yield made
    made.stop()


@pytest.fixture
def platform(monkeypatch, fleet):
    """The process's own tasks; one address stands for the public internet."""
    monkeypatch.setattr(OUTBOUND, "rules", AddressRules.of([OUTSIDE]))
    with Platform() as made:
        # Guards go by the machine's clock, and an attempt's deadline by the platform's, which begins at zero.
        made.advance(SystemClock().monotonic())
        yield made


def statuses(*wanted: int, **headers: str):
    """Answer with one status after the other."""
    left = list(wanted)

    def next_one(received, wire):
        answer(left.pop(0), b"said", **headers)(received, wire)

    return next_one


def test_a_body_is_delivered_and_the_answer_kept(platform):
    """As JSON, with the key of the job, and with headers of the caller's own."""
    reply = answer(
        202,
        '{"är": 1}'.encode(),
        content_type="application/json",
        set_cookie="secret",
        x_request_id="r" * 5_000,
    )
    with strange_server(reply, host=OUTSIDE) as server:
        done = platform.run_task_sync(
            webhook, f"{server.url}/hook", {"order": 7}, headers={"Authorization": "Bearer abc"}
        )
    (seen,) = server.received
    assert ("POST /hook HTTP/1.1", {"order": 7}) == (seen.line, json.loads(seen.body))
    assert ("application/json", "Bearer abc") == (seen.headers["content-type"], seen.headers["authorization"])
    assert 32 == len(seen.headers["idempotency-key"])
    got = done.result()
    assert (202, '{"är": 1}', False, 0) == (got.status, got.body, got.is_truncated, got.redirects)
    assert {
        "content-type": "application/json",
        "content-length": "10",
        "x-request-id": "r" * 1_000,
    } == got.headers
    assert f"{server.url}/hook" == got.url


def test_without_a_body_none_is_sent(platform):
    """And nothing says that it is JSON."""
    with strange_server(answer(204), host=OUTSIDE) as server:
        assert 204 == platform.run_task_sync(webhook, server.url, method="DELETE").result().status
    (seen,) = server.received
    assert ("DELETE / HTTP/1.1", b"") == (seen.line, seen.body)
    assert "content-type" not in seen.headers


def test_an_outage_is_tried_again_with_the_same_key(platform):
    """So that the upstream can tell a second try from a second order."""
    with strange_server(statuses(500, 502, 200), host=OUTSIDE) as server:
        done = platform.run_task_sync(webhook, server.url, 1)
    assert ["retry", "retry", "completed"] == [one.outcome for one in done.attempts]
    assert 1 == len({one.headers["idempotency-key"] for one in server.received})


@pytest.mark.parametrize("status", [429, 503])
def test_a_pushback_parks_the_job_as_long_as_was_said(platform, fleet, status):
    """By Retry-After, for all jobs to this host; no attempt is spent."""
    with strange_server(statuses(status, retry_after="77"), host=OUTSIDE) as server:
        done = platform.run_task_sync(webhook, server.url, 1)
    assert ("parked", f"upstream:webhook[{OUTSIDE}]") == (done.state, done.job.waiting_for)
    assert 60 <= fleet.known(f"webhook[{OUTSIDE}]").refusal().retry_after_seconds <= 80
    assert (0, 1) == (done.job.attempt, len(server.received))


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
def test_a_refusal_is_final(platform, status):
    """Another try would be refused as well; the job says by whom, and quotes neither path nor answer."""
    with strange_server(statuses(status), host=OUTSIDE) as server:
        done = platform.run_task_sync(webhook, f"{server.url}/hidden-token", 1)
    assert ("quarantined", 1) == (done.state, len(server.received))
    assert f"{OUTSIDE} answered with HTTP {status}" == done.job.failure.message
    assert "hidden-token" not in str(done.job.failure)
    assert "said" not in done.job.failure.message


def test_a_private_target_is_final_and_nothing_is_sent(platform):
    """The error says what to set, if it was meant."""
    with strange_server(answer()) as server:
        done = platform.run_task_sync(webhook, server.url, 1)
        assert [] == server.received
    assert ("quarantined", 1) == (done.state, len(done.attempts))
    assert "HOLDFAST_WEBHOOK_ALLOWED_NETWORKS" in done.job.failure.message


def test_a_dead_upstream_is_tried_again(platform):
    """Nobody listens there, yet; when that is sure, the job waits for the host and spends no attempt."""
    with strange_server(answer(), host=OUTSIDE) as server:
        pass
    done = platform.run_task_sync(webhook, server.url, 1)
    *tried, last = (one.outcome for one in done.attempts)
    # Five in a row are enough for a process that is on its own; its reporter needs a moment.
    assert ({"retry"}, "park") == (set(tried), last)
    assert 5 <= len(tried) < PATIENT.max_attempts
    assert ("parked", f"upstream:webhook[{OUTSIDE}]") == (done.state, done.job.waiting_for)


def test_a_delivery_is_no_failure_because_its_answer_is_long(platform):
    """What is stored of it is what fits; quotes take two bytes each."""
    with strange_server(answer(200, b'"' * 900_000), host=OUTSIDE) as server:
        done = platform.run_task_sync(webhook, server.url, 1)
    got = done.result()
    assert (500_000, True) == (len(got.body), got.is_truncated)
    assert 1 == len(server.received)


@pytest.mark.parametrize(
    ("charset", "sent", "stored"),
    [
        ("iso-8859-1", b"\xe4", "ä"), ("utf-8", b"\xe4", "�"), ("utf-8", b"a\x00b", "a�b"),
        ("unicode_escape", b"\\u00e4", "\\u00e4"), ("nonsense", "ä".encode(), "ä"), ("idna", b"a", "a"),
    ],
)  # fmt: skip
def test_a_body_is_text_whatever_it_is(platform, charset, sent, stored):
    """Of charsets alone: some of Python's codecs run for long, or do other things."""
    with strange_server(
        answer(200, sent, content_type=f"text/plain; charset={charset}"), host=OUTSIDE
    ) as server:
        assert stored == platform.run_task_sync(webhook, server.url).result().body


def test_each_host_has_a_breaker_of_its_own(platform):
    """One that is down parks the jobs that would call it, before anything is sent, and no others."""
    with strange_server(statuses(*[500] * 40), host=OUTSIDE) as server:
        # Failures are counted together every few milliseconds, so it takes five calls, or some more.
        runs = (platform.run_task_sync(webhook, server.url, 1) for _ in range(8))
        first = next(done for done in runs if done.state == "parked")
        assert f"upstream:webhook[{OUTSIDE}]" == first.job.waiting_for
        sent = len(server.received)
        assert "parked" == platform.run_task_sync(webhook, server.url, 2).state
        assert sent == len(server.received)
    OUTBOUND.rules = AddressRules.of(["127.0.0.3"])
    with strange_server(answer(), host="127.0.0.3") as other:
        assert "completed" == platform.run_task_sync(webhook, other.url, 1).state


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"url": "ftp://a.example/"}, "scheme"),
        ({"url": "https://me:hidden@a.example/"}, "name or password"),
        ({"url": "https://hidden.example:99999/"}, "port"),
        ({"url": "hidden"}, "URL"),
        ({"url": "https://a.example/", "method": "TRACE"}, "method"),
        ({"url": "https://a.example/", "headers": {"Host": "hidden"}}, "Host"),
        ({"url": "https://a.example/", "headers": {"x": "hidden\r\nHost: b"}}, "printable"),
        ({"url": "https://a.example/", "timeout_seconds": 0}, "timeout_seconds"),
        ({"url": "https://a.example/", "timeout_seconds": 301}, "timeout_seconds"),
        ({"url": "https://a.example/", "timeout_seconds": float("nan")}, "timeout_seconds"),
        ({"url": "https://a.example/", "largest_bytes": 1_000_001}, "largest_bytes"),
        ({"url": "https://a.example/", "largest_bytes": -1}, "largest_bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_called_is_not_enqueued(platform, arguments, says):
    """The error names the argument, and no value of it."""
    with pytest.raises(InvalidArguments, match=says) as caught:
        webhook.enqueue_sync(**arguments)
    assert "hidden" not in str(caught.value)
    assert [] == platform.enqueued()


def test_nothing_secret_is_logged_or_told(platform, caplog):
    """Neither the URL's path nor a header stands in a log or an event."""
    caplog.set_level(logging.INFO)
    with strange_server(statuses(500, 200), host=OUTSIDE) as server:
        platform.run_task_sync(webhook, f"{server.url}/hidden", 1, headers={"Authorization": "hidden"})
    assert "hidden" not in caplog.text
    assert "hidden" not in repr(platform.events)


def test_what_is_stored_is_what_the_ledger_gives_back(platform):
    """Readers without our code see plain JSON."""
    with strange_server(answer(200, b"ok"), host=OUTSIDE) as server:
        done = platform.run_task_sync(webhook, server.url, 1)
    stored = decode(done.job.result)
    assert {"status", "headers", "body", "is_truncated", "url", "redirects"} == set(stored)

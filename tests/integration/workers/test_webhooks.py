"""`webhook` on real workers: where it may go is what their settings say, in every process."""

import pytest

from holdfast.jobs.errors import JobQuarantined
from holdfast.tasks.agents.webhook.jobs import webhook
from holdfast.tests.support import outbound_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.strange_http import answer, strange_server


def test_a_worker_goes_where_its_settings_allow(held: Platform):
    """On the loop and in a process of its own, and to no other address of the machine."""
    held.worker(
        task_modules=outbound_tasks.__name__,
        worker_isolated_processes=1,
        webhook_allowed_networks="10.9.0.0/16, 127.0.0.2",
    )
    with strange_server(answer(200, b"ok"), host="127.0.0.2") as allowed, strange_server(answer()) as other:
        assert "ok" == webhook.enqueue_sync(allowed.url, {"a": 1}).result_sync(timeout_seconds=30).body
        assert 200 == outbound_tasks.apart.enqueue_sync(allowed.url).result_sync(timeout_seconds=30)
        for task in (webhook, outbound_tasks.apart):
            with pytest.raises(JobQuarantined, match="loopback"):
                task.enqueue_sync(other.url).result_sync(timeout_seconds=30)
        assert [] == other.received


def test_what_is_stored_of_an_answer_fits_into_a_result(held: Platform):
    """However small results were made: the call was made, and is no failure."""
    held.worker(webhook_allowed_networks="127.0.0.2", result_largest_bytes=60_000)
    with strange_server(answer(200, b"x" * 59_000), host="127.0.0.2") as server:
        got = webhook.enqueue_sync(server.url).result_sync(timeout_seconds=30)
    assert (12_000, True) == (len(got.body), got.is_truncated)

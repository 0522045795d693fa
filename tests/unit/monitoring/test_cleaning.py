"""What Flower may remember."""

from holdfast.jobs.redaction import Redactor
from holdfast.monitoring.flower.cleaning import NOT_SHOWN, clean_answer, clean_event

REDACTOR = Redactor(["plainsecret"])


def test_payloads_are_not_remembered():
    """Arguments and results of a task event are replaced, whoever sent it."""
    event = {"type": "task-received", "uuid": "1", "args": "('4111',)", "kwargs": "{'a': 1}", "result": "'x'"}
    cleaned = clean_event(event, REDACTOR)
    assert [NOT_SHOWN] * 3 == [cleaned["args"], cleaned["kwargs"], cleaned["result"]]


def test_exceptions_are_redacted():
    """A secret in an exception or its traceback is taken out, the rest stays."""
    event = {
        "type": "task-failed",
        "uuid": "1",
        "exception": "E('password=hunter2')",
        "traceback": "plainsecret",
    }
    cleaned = clean_event(event, REDACTOR)
    assert "hunter2" not in cleaned["exception"]
    assert "E(" in cleaned["exception"]
    assert "plainsecret" not in cleaned["traceback"]


def test_success_takes_the_earlier_failure_away():
    """A success leaves nothing of an earlier attempt's failure."""
    cleaned = clean_event({"type": "task-succeeded", "uuid": "1"}, REDACTOR)
    assert (None, None) == (cleaned["exception"], cleaned["traceback"])


def test_own_parent_is_no_parent():
    """A task that names itself as parent has none."""
    assert clean_event({"type": "task-sent", "uuid": "1", "parent_id": "1"}, REDACTOR)["parent_id"] is None
    assert "2" == clean_event({"type": "task-sent", "uuid": "1", "parent_id": "2"}, REDACTOR)["parent_id"]


def test_worker_events_pass():
    """An event of a worker is left alone."""
    event = {"type": "worker-heartbeat", "hostname": "w", "active": 3}
    assert event == clean_event(event, REDACTOR)


def test_lists_of_tasks_lose_their_payloads():
    """What a worker says of its tasks shows no arguments, also where they are nested."""
    answer = [
        {"id": "1", "args": ["4111"], "kwargs": {}},
        {"eta": "x", "request": {"id": "2", "kwargs": {"a": 1}}},
    ]
    cleaned = clean_answer("scheduled", answer, REDACTOR)
    assert NOT_SHOWN == cleaned[0]["args"]
    assert NOT_SHOWN == cleaned[1]["request"]["kwargs"]
    assert [] == clean_answer("active", None, REDACTOR)


def test_configuration_loses_its_secrets():
    """Passwords in a worker's configuration or statistics are masked at any depth."""
    answer = {
        "broker": {"hostname": "h", "transport_options": {"sentinel_kwargs": {"password": "hunter2"}}},
        "url": "redis://:plainsecret@h/0",
    }
    text = str(clean_answer("stats", answer, REDACTOR))
    assert "hunter2" not in text
    assert "plainsecret" not in text
    assert "'hostname': 'h'" in text


def test_task_names_stay():
    """The list of registered tasks is shown as it is."""
    assert ["auth.token"] == clean_answer("registered", ["auth.token"], REDACTOR)

"""Headers that Celery could not work with are found before it tries."""

import pytest

from holdfast.workers.task_headers import check_headers

GOOD = {
    "task": "t", "id": "a", "root_id": "a", "parent_id": None, "group": None, "group_index": None,
    "shadow": None, "eta": "2026-01-01T00:00:00+00:00", "expires": None, "retries": 0,
    "timelimit": [30, None], "argsrepr": "()", "kwargsrepr": "{}", "origin": "x",
    "ignore_result": False, "replaced_task_nesting": 0,
    "stamped_headers": ["a"], "stamps": {"a": 1}, "lang": "py", "anything else": object(),
}  # fmt: skip

BAD = [
    ("shadow", ["a"]), ("shadow", {"a": 1}), ("shadow", 7), ("root_id", ["a"]), ("group", {}),
    ("argsrepr", 1), ("eta", "soon"), ("eta", 20260101), ("eta", "0001-01-01T00:00:00+23:59"),
    ("eta", "9999-12-31T23:59:59"), ("expires", "later"), ("expires", []),
    ("retries", "1"), ("retries", -1), ("retries", True),
    ("timelimit", "%s"), ("timelimit", [1]), ("timelimit", [1, "x"]), ("timelimit", 5),
    ("ignore_result", "yes"), ("stamped_headers", "ab"), ("stamped_headers", [1]), ("stamps", ["a"]),
]  # fmt: skip


def test_what_celery_sends_passes():
    """All of it, and each of it left out or null."""
    check_headers(GOOD)
    check_headers({})
    check_headers(dict.fromkeys(GOOD))


@pytest.mark.parametrize(("name", "value"), BAD)
def test_what_it_could_not_work_with_is_named(name, value):
    """One header of another type is enough."""
    with pytest.raises((TypeError, ValueError), match=name):
        check_headers({**GOOD, name: value})

"""How limits of backlogs are written, and whom they are about."""

import pytest

from holdfast.jobs.backlog import BacklogLimit, class_of, limit_of, limits_of


def test_what_is_written_is_read():
    """One number for all classes, three for each, a star for every other queue."""
    limits = limits_of(["default=10000", " mail = 500 / 200/50 ", "*=7"])
    assert {
        "default": BacklogLimit(10_000, 10_000, 10_000),
        "mail": BacklogLimit(500, 200, 50),
        "*": BacklogLimit(7, 7, 7),
    } == limits
    assert (limits["mail"], limits["*"]) == (limit_of(limits, "mail"), limit_of(limits, "reports"))
    assert limit_of({}, "mail") is None


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("mail", "'mail' has no limit"),
        ("mail=", "is no limit"),
        ("mail=many", "is no limit"),
        ("mail=1/2", "is no limit"),
        ("mail=-1", "is no limit"),
        ("mail=0", "limits are from 1"),
        ("mail=99999999999", "limits are from 1"),
        ("mail=5/6/7", "above a more important one's"),
        ("no such queue=5", "'no such queue' is no queue"),
        ("celery=5", "'celery' is no queue"),
        ("²=5", "is no queue"),
        ("mail=²", "is no limit"),
    ],
)
def test_what_is_wrong_is_said(entry, says):
    """Which entry, what about it, and how it is written."""
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        limits_of([entry])


def test_a_queue_has_one_limit():
    """Of two, one would be ignored."""
    with pytest.raises(ValueError, match="'mail' has two limits"):
        limits_of(["mail=5", "mail=6"])


def test_each_priority_belongs_to_a_class():
    """The three thirds of the scale."""
    names = [class_of(priority).name for priority in range(10)]
    assert ["urgent"] * 4 + ["normal"] * 3 + ["bulk"] * 3 == names

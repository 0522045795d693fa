"""The status line of `up`."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from holdfast.cli.status.board import Board, sentence
from holdfast.cli.status.vitals import Vitals, duration, status_line, vitals
from holdfast.cli.supervisor.notices import Died, Failing, Started
from holdfast.cli.supervisor.supervisor import ChildStatus
from holdfast.jobs.state import JobState
from holdfast.ledger.records import ParkedGroup, PausedQueue, QueueCount
from holdfast.tests.support.builders import SOME_TIME


def test_counts_are_summed_over_queues():
    """The line counts all queues, and the oldest job is the oldest that could run now."""
    found = vitals(
        [
            QueueCount("default", JobState.AVAILABLE, 2, 3.0),
            QueueCount("mail", JobState.AVAILABLE, 1, 9.0),
            QueueCount("mail", JobState.SCHEDULED, 4, 0.0),
            QueueCount("default", JobState.PARKED, 1, 50.0),
            QueueCount("default", JobState.COMPLETED, 7, 99.0),
        ],
        [],
    )
    assert Vitals(available=3, later=5, completed=7, oldest_seconds=9.0) == found


def test_the_line_says_what_matters():
    """Workers up, restarts, slots used, waiting jobs and the oldest of them stand in one line."""
    children = [ChildStatus("redis", 1, 0, is_failing=False), ChildStatus("worker-1", 2, 1, is_failing=False)]
    now = Vitals(available=3, running=2, completed=1000, oldest_seconds=90.0, slots=10)
    expected = "workers 1/1 up, 1 restart  running 2/10  waiting 3 (oldest 2 min)  done 1,000"
    assert expected == status_line(now, children, 1).plain


def test_paused_queues_stand_in_the_line():
    """Who wonders why nothing begins sees it there."""
    found = vitals([], [], [PausedQueue("mail", SOME_TIME), PausedQueue("slow", SOME_TIME)])
    assert "  paused mail, slow" in status_line(found, [], 0).plain


def test_who_waits_for_an_upstream_stands_in_the_line():
    """The upstreams with the most jobs, over priorities and tenants; the line holds more than them."""
    groups = [
        ParkedGroup(f"upstream:{name}", priority, None, count, SOME_TIME)
        for name, priority, count in [("mail", 5, 1), ("search", 5, 1000), ("search", 0, 200), ("a", 5, 7)]
    ]
    found = vitals([], [], (), groups)
    assert "  parked search 1,200, a 7, mail 1" in status_line(found, [], 0).plain
    more = vitals([], [], (), [*groups, ParkedGroup("upstream:z", 5, None, 1, SOME_TIME)])
    assert "mail 1, ..." in status_line(more, [], 0).plain


def test_a_database_that_is_gone_is_said():
    """When the ledger cannot be read the line says so instead of showing old numbers."""
    assert "database cannot be reached" in status_line(None, [], 0).plain


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (59.9, "59.9 s"), (180, "3 min"), (7300, "2 h")]
)
def test_durations_are_short(seconds, text):
    """A stretch of time is said in one unit."""
    assert text == duration(seconds)


def test_notices_become_sentences():
    """A first start is no news; a death, a return and a failure are."""
    assert sentence(Started("worker-1", 5, 0)) is None
    assert "runs again (process 5" in str(sentence(Started("worker-1", 5, 1)))
    assert "was killed by SIGKILL" in str(sentence(Died("redis", "was killed by SIGKILL", 2.0, 0.2)))
    failing = str(sentence(Failing("worker-1", "ended with exit code 1", 3, ("no module",), Path("w.log"))))
    assert "3 times in a row" in failing
    assert "no module" in failing
    assert "w.log" in failing


def test_without_a_terminal_lines_are_few():
    """Numbers that change are not told all the time; how the workers are is told at once."""
    written = StringIO()
    board = Board(Console(file=written, width=200))
    with board:
        for text in ("workers 0/1 up  done 0", "workers 0/1 up  done 1", "workers 1/1 up  done 1"):
            board.show(Text(text))
    assert ["workers 0/1 up  done 0", "workers 1/1 up  done 1"] == written.getvalue().splitlines()

"""Children are started, started again, and stopped without a rest."""

import os
import signal
import sys
import time

import psutil
import pytest

from holdfast.cli.supervisor.child import ChildSpec
from holdfast.cli.supervisor.notices import Died, Failing, Started
from holdfast.cli.supervisor.supervisor import Supervisor
from holdfast.tests.support.waiting import until

WAITING = "import time; time.sleep(300)  # the child's work"
TWICE = """
import pathlib, signal, sys, time
heard = []
def hear(*_):
    heard.append(1)
    if len(heard) == 2:
        pathlib.Path(sys.argv[1]).write_text("hurried")
        sys.exit(0)
signal.signal(signal.SIGTERM, hear)
print("ready", flush=True)
while True: time.sleep(0.02)
"""
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {WAITING}"
ORDERLY = """
import signal, sys, time
def end(*_):
    open(sys.argv[1], "a").write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("orderly", flush=True)
time.sleep(300)  # the child's work
"""


@pytest.fixture
def notices():
    """What the supervisor told."""
    return []


@pytest.fixture
def supervisor(notices):
    """A supervisor that stops what it started."""
    made = Supervisor(notices.append)
    yield made
    made.stop(times_asked=lambda: 3)


def _spec(tmp_path, code, *arguments, name="child", **more):
    argv = (sys.executable, "-I", "-S", "-c", code, *arguments)
    return ChildSpec(name, argv, tmp_path / f"{name}.log", **more)


def _said(tmp_path, word, name="child"):
    return until(lambda: word in (tmp_path / f"{name}.log").read_text(), what=f"{word} in the log")


def test_a_killed_child_is_started_again(tmp_path, supervisor, notices):
    """A child that is killed comes back under another number, and both are told."""
    pid = supervisor.start(_spec(tmp_path, WAITING))
    os.kill(pid, signal.SIGKILL)
    until(lambda: any(isinstance(each, Started) and each.restarts == 1 for each in notices), what="a restart")
    status = supervisor.status()[0]
    assert status.pid not in (None, pid)
    assert 1 == status.restarts
    assert "was killed by SIGKILL" == next(each.how for each in notices if isinstance(each, Died))


def test_a_child_that_never_lives_is_reported_with_its_last_words(tmp_path, supervisor, notices):
    """After three deaths at once the end of the log is told, and the path of the whole."""
    supervisor.start(_spec(tmp_path, "import sys; sys.exit('no port is free')"))
    failing = until(lambda: [each for each in notices if isinstance(each, Failing)], what="the report")[0]
    assert ("no port is free",) == failing.lines
    assert tmp_path / "child.log" == failing.log_path
    assert 3 == failing.times
    assert supervisor.status()[0].is_failing


def test_stopping_goes_by_rank_and_in_good_order(tmp_path, supervisor):
    """What depends on others is stopped first, each with the time to end in good order."""
    record = tmp_path / "record"
    for name, rank in (("below", 0), ("above", 1)):
        supervisor.start(_spec(tmp_path, ORDERLY, str(record), name, name=name, rank=rank))
        _said(tmp_path, "orderly", name)
    supervisor.stop()
    assert ["above", "below"] == record.read_text().split()


def test_a_deaf_child_is_killed_when_its_time_is_up(tmp_path, supervisor):
    """Who does not end by SIGTERM is killed after its grace."""
    pid = supervisor.start(_spec(tmp_path, DEAF, stop_seconds=0.2))
    _said(tmp_path, "deaf")
    supervisor.stop()
    assert not psutil.pid_exists(pid)


def test_hurry_asks_again(tmp_path, supervisor):
    """Whoever knows a second SIGTERM gets one and time for it; the grace is not waited for."""
    record = tmp_path / "record"
    supervisor.start(_spec(tmp_path, TWICE, str(record), stop_seconds=60.0, hurry_seconds=60.0))
    _said(tmp_path, "ready")
    supervisor.stop(times_asked=lambda: 2)
    assert "hurried" == record.read_text()


@pytest.mark.parametrize("times", [2, 3])
def test_hurry_does_not_wait(tmp_path, supervisor, times):
    """Who does not know a second SIGTERM is killed by it; whoever asks three times kills everybody."""
    pid = supervisor.start(_spec(tmp_path, DEAF, stop_seconds=60.0))
    _said(tmp_path, "deaf")
    began = time.monotonic()
    supervisor.stop(times_asked=lambda: times)
    assert time.monotonic() - began < 10
    assert not psutil.pid_exists(pid)


def test_stopping_twice_or_before_the_start_is_fine(tmp_path, supervisor):
    """Stop may come at any time, and again."""
    Supervisor(lambda _: None).stop()
    supervisor.start(_spec(tmp_path, WAITING))
    supervisor.stop()
    supervisor.stop()


def test_a_reload_is_no_death(tmp_path, supervisor, notices):
    """A child that is started anew on purpose is not counted as dead."""
    record = tmp_path / "record"
    pid = supervisor.start(_spec(tmp_path, ORDERLY, str(record), "x"))
    _said(tmp_path, "orderly")
    supervisor.restart("child")
    until(lambda: supervisor.status()[0].pid not in (None, pid), what="the new child")
    assert 0 == supervisor.status()[0].restarts
    assert not [each for each in notices if isinstance(each, Died)]


def test_input_and_environment_arrive_at_each_start(tmp_path, supervisor):
    """What a child is given by standard input and environment it gets again after a restart."""
    code = f"import os, sys; print(sys.stdin.read(), os.environ['FLAVOUR'], flush=True); {WAITING}"
    pid = supervisor.start(_spec(tmp_path, code, stdin=b"secret", environment={"FLAVOUR": "mint"}))
    _said(tmp_path, "secret mint")
    os.kill(pid, signal.SIGKILL)
    until(lambda: 2 == (tmp_path / "child.log").read_text().count("secret mint"), what="the second start")

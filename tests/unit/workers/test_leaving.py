"""The end of a process: also where the system gives it no thread to wait on."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading, time
from holdfast.workers import leaving
from holdfast.workers.threads import NoThread

def refused(thread):
    raise NoThread(11, "no more threads")

leaving.LAST_SECONDS = 0.2
if sys.argv[1] == "no thread":
    leaving.start = refused
leaving.leave_for_certain(75)
threading.Thread(target=time.sleep, args=(60,)).start()
"""


@pytest.mark.parametrize("how", ["with a thread", "no thread"])
def test_it_ends_with_its_exit_code_whatever_handlers_left_running(how):
    """A thread that a handler started would keep it for a minute."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM, how], check=False, timeout=30)
    assert 75 == ended.returncode

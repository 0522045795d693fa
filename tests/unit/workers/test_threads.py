"""Threads for `def` handlers: as many as needed, no more than allowed, and never in the way."""

import threading

import pytest

from holdfast.tests.support.waiting import until
from holdfast.workers.threads import DaemonThreads, NoThread, start


@pytest.fixture
def threads():
    """At most two threads."""
    made = DaemonThreads(2, name="test-threads")
    yield made
    made.close()


def alive():
    """Return the threads of this test."""
    return [one for one in threading.enumerate() if one.name.startswith("test-threads")]


def test_a_call_gives_its_result_or_its_error(threads):
    """Any exception belongs to whoever waits, also one that is no Exception."""
    assert 3 == threads.submit(lambda: 3).result(5)

    def leave():
        raise SystemExit(3)

    assert isinstance(threads.submit(leave).exception(5), SystemExit)
    assert 4 == threads.submit(lambda: 4).result(5)


def test_no_more_calls_run_than_allowed(threads):
    """The third call waits for a thread."""
    gate, begun = threading.Event(), []

    def work(number):
        begun.append(number)
        return gate.wait(5)

    calls = [threads.submit(lambda number=number: work(number)) for number in range(3)]
    until(lambda: len(begun) == 2, what="two calls")
    assert (2, 2) == (threads.most, len(alive()))
    assert not calls[2].running()
    gate.set()
    assert [True] * 3 == [call.result(5) for call in calls]


def test_an_idle_thread_is_used_again(threads):
    """One call after the other needs one thread; they are daemons."""
    for _ in range(5):
        threads.submit(lambda: None).result(5)
        until(lambda: threads._idle == 1, what="an idle thread")  # noqa: SLF001 -- what cannot be seen from outside
    assert [True] == [one.daemon for one in alive()]


def test_a_call_in_line_can_be_cancelled(threads):
    """Until it begins; a running one cannot."""
    gate = threading.Event()
    running = [threads.submit(lambda: gate.wait(5)) for _ in range(2)]
    until(lambda: all(call.running() for call in running), what="two running calls")
    called = []
    waiting = threads.submit(lambda: called.append(True))
    assert (True, False) == (waiting.cancel(), running[0].cancel())
    gate.set()
    assert running[0].result(5)
    assert None is threads.submit(lambda: None).result(5)
    assert [] == called


def test_a_close_cancels_what_waits_and_lets_run_what_runs():
    """It returns at once, idle threads end, and later calls are cancelled."""
    made, gate = DaemonThreads(1, name="test-threads"), threading.Event()
    running = made.submit(lambda: gate.wait(5))
    until(running.running, what="a running call")
    waiting = made.submit(lambda: None)
    made.close()
    made.close()
    assert (True, True) == (waiting.cancelled(), made.submit(lambda: None).cancelled())
    gate.set()
    assert running.result(5)
    until(lambda: not alive(), what="the end of the threads")


def test_there_is_always_one_thread():
    """None at all would wait for ever."""
    made = DaemonThreads(0, name="test-threads")
    assert 1 == made.submit(lambda: 1).result(5)
    made.close()


def test_a_thread_that_cannot_start_fails_one_call(threads, monkeypatch):
    """The call hears of it as of a passing trouble; when the system has threads again the pool is whole."""

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(3):
            assert isinstance(threads.submit(lambda: 1).exception(5), BlockingIOError)
    assert 2 == threads.submit(lambda: 2).result(5)


def test_a_thread_that_could_not_start_may_start_later(monkeypatch):
    """The system's refusal has a name of its own; to start one twice is a mistake, as ever."""
    ran = threading.Event()
    thread = threading.Thread(target=ran.set)
    with monkeypatch.context() as shortage:
        shortage.setattr(threading.Thread, "start", refuse)
        with pytest.raises(NoThread):
            start(thread)
    start(thread)
    assert ran.wait(5)
    thread.join(5)
    with pytest.raises(RuntimeError):
        start(thread)


def refuse(thread):
    """Do as the system does that has no more threads."""
    del thread
    raise RuntimeError("can't start new thread")

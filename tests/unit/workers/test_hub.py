"""The way to the hub: nothing is lost, also when the hub breaks off."""

from collections import deque

import pytest

from holdfast.workers.hub import HubLink


class StandInHub:
    """kombu's hub as far as we lean on it; the contract tests hold it against the real one."""

    def __init__(self):
        self.ready = deque()

    def call_soon(self, callback):
        self.ready.append(callback)

    def turn(self):
        while self.ready:
            self.ready.popleft()()


@pytest.fixture
def hub():
    """A hub that turns when told."""
    return StandInHub()


@pytest.fixture
def link(hub):
    """A link to it."""
    made = HubLink()
    made.attach(hub)
    hub.turn()
    return made


def test_without_a_hub_work_is_done_in_place():
    """At the start and at the stop nobody turns a hub."""
    done = []
    HubLink().post(lambda: done.append(1))
    assert [1] == done


def test_what_is_posted_together_wakes_the_hub_once_and_keeps_its_order(link, hub):
    """A thousand acknowledgements are one callback."""
    done = []
    for number in range(1000):
        link.post(lambda number=number: done.append(number))
    assert (1, []) == (len(hub.ready), done)
    hub.turn()
    assert list(range(1000)) == done


def test_work_posted_by_work_is_done_in_the_same_turn(link, hub):
    """Nothing waits for another reason to wake."""
    done = []
    link.post(lambda: link.post(lambda: done.append(1)))
    hub.turn()
    assert [1] == done


def test_a_callback_that_fails_costs_the_others_nothing(link, hub, caplog):
    """The next acknowledgement must not suffer for this one."""
    done = []
    link.post(lambda: 1 / 0)
    link.post(lambda: done.append(1))
    hub.turn()
    assert [1] == done
    assert "a callback on the hub failed" in caplog.text


def test_a_hub_that_forgot_its_callbacks_is_asked_anew(link, hub):
    """The hub of kombu drops the rest of a turn in which a callback raised; the reconnect attaches again."""
    done = []
    link.post(lambda: done.append(1))
    hub.ready.clear()
    link.attach(hub)
    link.post(lambda: done.append(2))
    hub.turn()
    assert [1, 2] == done


def test_a_detach_does_what_is_left(link):
    """At the stop the hub turns no more."""
    done = []
    link.post(lambda: done.append(1))
    link.detach()
    link.post(lambda: done.append(2))
    assert [1, 2] == done


def test_a_wake_needs_a_hub(link, hub):
    """Without one there is nobody to wake."""
    link.wake()
    assert 1 == len(hub.ready)
    HubLink().wake()


class Dispatcher:
    """An event dispatcher that remembers, or fails."""

    def __init__(self, *, enabled=True, error=None):
        self.enabled, self.error, self.sent = enabled, error, []

    def send(self, kind, **fields):
        if self.error:
            raise self.error
        self.sent.append((kind, fields))


def test_events_go_to_whoever_wants_them(link):
    """No dispatcher, a disabled one, a broken one: none of them stops the worker."""
    link.send_event("task-started", uuid="1")
    for silent in (Dispatcher(enabled=False), Dispatcher(error=OSError("gone")), None):
        link.use_dispatcher(lambda silent=silent: silent)
        link.send_event("task-started", uuid="1")
    heard = Dispatcher()
    link.use_dispatcher(lambda: heard)
    link.send_event("task-started", uuid="1")
    assert [("task-started", {"uuid": "1"})] == heard.sent

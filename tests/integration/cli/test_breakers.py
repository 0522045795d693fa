"""`holdfast breakers`: an operator looks at upstreams, and opens or closes them for all processes."""

import json
from pathlib import Path

import pytest

from holdfast.cli import main as command_line
from holdfast.resilience.breaker.message import Message
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.store import RedisStore, store_client
from holdfast.resilience.breaker.terms import Terms

TERMS = Terms.of(BreakerPolicy())


@pytest.fixture
def store(redis_url: str, tmp_path: Path, monkeypatch) -> RedisStore:
    """What the processes of the default namespace share; the commands find it by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_SHARED_STATE_URL", redis_url)
    return RedisStore(store_client(redis_url), namespace="holdfast")


@pytest.fixture
def run(capsys):
    """Run `holdfast breakers ...`; return the exit code, the output and the errors."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            command_line.main(["breakers", *arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run_it


def called(store: RedisStore, name: str = "search", **counts: int) -> None:
    """Let a process report."""
    store.exchange(name, Message("a worker", 0, **counts), TERMS)


def test_what_was_called_is_listed_and_shown(store, run):
    """With its state, why, how long still, and what its window holds."""
    assert (0, "No upstream was called, or ordered about, within the last hour.\n", "") == run("list")
    called(store, "mail", ok=5)
    called(store, failed=20)
    listed = {one["upstream"]: one for one in json.loads(run("list", "--json")[1])}
    assert {"mail": "closed", "search": "open"} == {name: one["state"] for name, one in listed.items()}
    assert 0 < listed["search"]["closed_for_seconds"] <= 5
    assert ("streak", 5) == (listed["search"]["reason"], listed["mail"]["ok"])
    lines = run("list")[1].splitlines()
    assert "streak" in next(line for line in lines if "search" in line)
    assert "openings in a row: 1" in run("show", "search")[1]
    assert listed["mail"] == json.loads(run("show", "mail", "--json")[1])
    code, _, said = run("show", "never")
    assert (2, True) == (code, "holdfast breakers list" in said)


def test_names_and_reasons_with_brackets_are_shown_as_they_are(store, run):
    """A host's breaker is `webhook[HOST]`, and what an operator says is no mark-up."""
    called(store, "webhook[localhost]", ok=1)
    run("isolate", "webhook[localhost]", "--reason", "a [red]b[/red]")
    listed = run("list")[1]
    assert "webhook[localhost]" in listed
    assert "a [red]b[/red]" in listed


@pytest.mark.parametrize("order", ["isolate", "disable", "shadow"])
def test_an_order_holds_for_all_until_it_is_lifted(store, run, order):
    """It says who and why; released, the phase decides again; closed, calls pass."""
    called(store, failed=20)
    state = {"isolate": "isolated", "disable": "disabled", "shadow": "shadow"}[order]
    assert (0, f"search is {state}.\n", "") == run(order, "search", "--reason", "incident 42")
    shown = run("show", "search")[1]
    assert f"search: {state}" in shown
    assert "why: incident 42" in shown
    assert "ordered by: " in shown
    assert (0, "search is open.\n", "") == run("release", "search")
    assert (0, "search is closed.\n", "") == run("close", "search", "--reason", "it is well")


def test_bad_orders_are_refused_before_anything_is_changed(store, run):
    """A reason is a must, a time is more than none, and a name is one; a strange one is asked about."""
    called(store, ok=1)
    assert 2 == run("isolate", "search")[0]
    assert 2 == run("isolate", "search", "--reason", "x", "--for", "-1")[0]
    assert 2 == run("isolate", "a\nb", "--reason", "x")[0]
    assert "closed" == json.loads(run("show", "search", "--json")[1])["state"]
    assert "is that its name?" in run("isolate", "serach", "--reason", "x", "--for", "60")[2]


def test_without_a_redis_it_says_what_to_set(tmp_path, monkeypatch, run):
    """And one that is away is told from one that is not named."""
    monkeypatch.chdir(tmp_path)
    code, _, said = run("list")
    assert (2, True) == (code, "HOLDFAST_SHARED_STATE_URL" in said)
    monkeypatch.setenv("HOLDFAST_SHARED_STATE_URL", "redis://127.0.0.1:1/0")
    code, _, said = run("isolate", "search", "--reason", "x")
    assert (2, True) == (code, "Nothing was read or ordered" in said)

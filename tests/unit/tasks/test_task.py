"""`@task` reads a handler once, and says at import what can never work."""

import functools
from typing import TYPE_CHECKING

import pytest

from holdfast.jobs.errors import InvalidTask, UnknownTask
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks import Registry, Task, TaskContext, task
from holdfast.tasks.task import read_spec

if TYPE_CHECKING:
    from somewhere_else import Unknown


def test_the_decorator_works_bare_and_with_options():
    """Both spellings make a registered task."""
    registry = Registry()

    @task(name="shop.order", queue="slow", version="3", retry=RetryPolicy(max_attempts=2), registry=registry)
    async def order(ctx: TaskContext, number: int) -> str:
        """Order one.

        Long story.
        """
        return f"{ctx}{number}"

    assert isinstance(order, Task)
    assert order is registry.require("shop.order")
    spec = order.spec
    assert ("slow", "3", 2) == (spec.queue, spec.version, spec.retry.max_attempts)
    assert spec.is_async
    assert spec.takes_context
    assert "Order one." == spec.doc
    offer = spec.offer()
    assert ("shop.order", "3", "slow") == (offer.task, offer.version, offer.queue)
    assert '"number"' in offer.schema
    assert "ctx" not in offer.schema


def test_calling_a_task_calls_its_handler():
    """A test of the handler needs no platform."""

    @task(registry=Registry())
    def double(number: int) -> int:
        return 2 * number

    assert 4 == double(2)
    assert not double.spec.is_async
    assert not double.spec.takes_context
    assert "double" == double.__name__


def test_the_name_is_the_module_and_the_function():
    """Two modules can have functions of one name, and the name does not depend on who imports it."""

    @task(registry=Registry())
    def double(number: int) -> int:
        return 2 * number

    assert double.name == f"{__name__}.test_the_name_is_the_module_and_the_function.double"


def test_a_script_names_its_tasks_as_an_importer_would(monkeypatch, tmp_path):
    """`python shop.py` and a worker that imports `shop` know the same task."""
    script = tmp_path / "shop.py"
    names: dict[str, object] = {"__name__": "__main__", "__file__": str(script)}
    exec(compile("def order(number: int): ...", str(script), "exec"), names)  # noqa: S102 -- stands for the script
    monkeypatch.setattr("__main__.__file__", str(script), raising=False)
    monkeypatch.setattr("__main__.__spec__", None, raising=False)

    assert "shop.order" == read_spec(names["order"]).name


def test_two_tasks_of_one_name_are_refused_with_both_places():
    """Which of them runs would depend on the order of imports."""
    registry = Registry()

    @task(name="same", registry=registry)
    def first(): ...

    with pytest.raises(InvalidTask) as caught:

        @task(name="same", registry=registry)
        def second(): ...

    assert 2 == str(caught.value).count("test_task.py:")


def test_the_same_source_may_register_again():
    """Reloading a module is no conflict."""
    registry = Registry()

    def make():
        @task(name="again", registry=registry)
        def handler(): ...

        return handler

    make()
    second = make()

    assert second is registry.get("again")
    assert ["again"] == registry.names()
    assert [second] == list(registry)
    assert 1 == len(registry)


def test_an_unknown_task_is_named():
    """The reader sees which name was not found."""
    with pytest.raises(UnknownTask, match=r"shop\.none"):
        Registry().require("shop.none")


def _context_second(number: int, ctx: TaskContext): ...
def _type_checking_only(it: "Unknown"): ...
def _generator(number: int):
    yield number


async def _async_generator(number: int):
    yield number


@pytest.mark.parametrize(
    "handler",
    [
        _context_second,
        _type_checking_only,
        _generator,
        _async_generator,
        functools.partial(_context_second, 1),
        int,
    ],
    ids=["context second", "types at checking only", "generator", "async generator", "partial", "class"],
)
def test_what_cannot_be_a_handler_is_refused(handler):
    """The error names the handler and says what to do."""
    with pytest.raises(InvalidTask):
        read_spec(handler, name="shop.order")


@pytest.mark.parametrize("name", ["", "with space", "ü", "a" * 201, "-x", "a\n"])
def test_a_name_that_would_not_travel_is_refused(name):
    """Names go through brokers, headers and shells."""
    with pytest.raises(InvalidTask, match="no name for a task"):
        read_spec(lambda: None, name=name)


@pytest.mark.parametrize(("soft", "hard"), [(0, 1), (2, 1), (-1, 1), (None, 0), (None, float("inf"))])
def test_limits_that_make_no_sense_are_refused(soft, hard):
    """Every attempt has an end."""
    with pytest.raises(InvalidTask, match="timeout_seconds"):
        read_spec(lambda: None, name="x", soft_timeout_seconds=soft, hard_timeout_seconds=hard)


class Guard:
    """Stands for an upstream."""

    name = "mail"


def test_a_task_names_its_upstreams():
    """By name or by what has one; each once, in order."""

    @task(upstreams=["search", Guard(), "mail"], registry=Registry())
    def look(number: int) -> int:
        return number

    assert ("search", "mail") == look.spec.upstreams


@pytest.mark.parametrize("wrong", ["search", [""], ["x" * 129], ["a\nb"], [None], [object()]])
def test_what_is_no_upstream_is_refused_at_import(wrong):
    """A text would be an upstream for each of its letters."""

    def look(number: int) -> int:
        return number

    with pytest.raises(InvalidTask, match="upstream"):
        task(upstreams=wrong, registry=Registry())(look)

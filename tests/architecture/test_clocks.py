"""Time and chance come from one place, so that decisions can be tested by a table."""

import ast
from collections.abc import Iterator

from holdfast.tests.support.repository import ROOT, code, dotted, line_of, place, python, tree

WALL_CLOCK = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today",
    "time.time", "time.time_ns",
}  # fmt: skip
CHANCE = {
    f"random.{name}" for name in ("random", "uniform", "randint", "choice", "shuffle", "expovariate", "gauss")
}
# The clock itself, and the roots that put a program together and hand the clock on.
MAY_ASK = {
    "jobs/clock.py",
    "celeryconfig.py",
    "workers/app.py",
    "gateway/app.py",
}
MAY_ASK_FOLDERS = {"cli"}


def test_only_the_clock_asks_for_the_time():
    """No wall clock and no global random numbers outside ``jobs/clock.py`` and the composition roots."""
    asked = [
        place(path, node)
        for path in code()
        if str(path.relative_to(ROOT)) not in MAY_ASK
        and path.relative_to(ROOT).parts[0] not in MAY_ASK_FOLDERS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and dotted(node.func) in WALL_CLOCK | CHANCE
        and "noqa: TID251" not in line_of(path, node)  # it carries its reason, or another test fails
    ]
    assert [] == asked


def test_no_test_waits_for_a_stretch_of_time():
    """A test waits for an event; only the jobs and servers that it sets up may take their time."""
    waits = [
        place(path, call)
        for path in python()
        if path.relative_to(ROOT).parts[0] == "tests"
        for function in ast.walk(tree(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name.startswith("test_")
        for call in _own_calls(function)
        if _is_pause(call) and "#" not in line_of(path, call)
    ]
    assert [] == waits


def _own_calls(function: ast.AST) -> Iterator[ast.Call]:
    """Give the calls of a function, without those of the functions inside it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Call):
            yield node
        yield from _own_calls(node)


def _is_pause(call: ast.Call) -> bool:
    if dotted(call.func) == "time.sleep":
        return True
    if dotted(call.func) not in {"asyncio.sleep", "anyio.sleep"}:
        return False
    first = call.args[0] if call.args else None
    return not (isinstance(first, ast.Constant) and first.value == 0)

"""The simulation plays the world around production; whatever decides about a job is production itself."""

import ast
import re

from holdfast.tests.support.repository import ROOT, dotted, place, python, tree

SIMULATION = [path for path in python() if path.parent == ROOT / "tests" / "simulation"]
# The verbs by which a job gets an owner and loses it.
VERBS = {"claim", "claiming", "settle", "settling", "rescue", "hand", "lease", "own", "reconcile"}
# Where the protocol is written: the simulation goes in by the front door, or not at all.
BACK_DOORS = re.compile(
    r"holdfast\.(ledger\.(statements|claiming|settling|endings|maintenance|roster|steering|schema|rows)"
    r"|resilience\.decision|workers\.(attempt|leases|observer))"
)
WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|REPLACE)\b")
# Changed source, and the tables' facts before a run begins.
MAY_WRITE = {"mutants.py", "database.py"}
# What production takes from outside: threads, chance, time and pids, and how often it looks.
MAY_REPLACE = {
    "threading", "random_fraction", "secrets", "monotonic", "new_event_loop", "set_event_loop", "_start_of",
    "birth_of_self", "Event", "TICK_SECONDS", "BLOCKED_SECONDS", "_LONGEST_WAIT",
}  # fmt: skip


def test_the_simulation_decides_nothing_for_a_worker():
    """No function of it claims, settles or rescues."""
    named = [
        f"{place(path, node)} {node.name}"
        for path in SIMULATION
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and VERBS & set(node.name.split("_"))
    ]
    assert [] == named


def test_the_simulation_knows_no_statement_and_no_part_of_the_protocol():
    """It imports the worker and the ledger, not what they are made of."""
    known = [
        f"{place(path, node)} {name}"
        for path in SIMULATION
        for node in ast.walk(tree(path))
        for name in _imported(node)
        if BACK_DOORS.match(name)
    ]
    assert [] == known


def test_the_simulation_writes_no_row_of_a_job():
    """Its judge reads; only the ledger writes. Emptying the tables between runs is all."""
    writes = [
        place(path, node)
        for path in SIMULATION
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WRITES.search(node.value)
        if path.name not in MAY_WRITE or "jobs SET" in node.value
        if path.name != "mutants.py"
    ]
    assert [] == writes


def test_the_simulation_derives_from_nothing_and_replaces_only_the_surroundings():
    """Production runs as it is: no class of it is derived, no part of it is patched away."""
    derived = [
        place(path, node)
        for path in SIMULATION
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and any(_is_production(path, base) for base in node.bases)
    ]
    replaced = {
        argument.value
        for path in SIMULATION
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and dotted(node.func) in {"replace", "patch.object"}
        for argument in node.args[1:2]
        if isinstance(argument, ast.Constant)
    }
    assert [] == derived
    assert replaced, "the surroundings are replaced somewhere"
    assert set() == replaced - MAY_REPLACE


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _is_production(path, base: ast.expr) -> bool:
    production = {
        name.rpartition(".")[2]
        for node in ast.walk(tree(path))
        for name in _imported(node)
        if name.startswith("holdfast.") and not name.startswith("holdfast.tests.")
    }
    return dotted(base).partition(".")[0] in production

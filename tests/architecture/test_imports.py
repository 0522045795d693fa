"""Imports stand at the top, by full name, and bring in nothing that we forbid."""

import ast

import pytest

from holdfast.tests.support.repository import ROOT, code, dotted, place, python, tree

OUR_FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
FORBIDDEN_MODULES = {"dill", "marshal", "pickle", "shelve"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen",
    "hashlib.md5", "hashlib.sha1", "yaml.load", "subprocess.getoutput", "tempfile.mktemp",
}  # fmt: skip


@pytest.mark.parametrize("path", python(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_hides_inside_a_function(path):
    """Every import stands at the top of its module, so that reading the head tells what a file needs."""
    hidden = [
        place(path, node)
        for function in ast.walk(tree(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert [] == hidden


def test_own_folders_are_imported_by_full_name():
    """Nothing imports ``tasks`` or ``settings``: those names belong to the user's project."""
    short = [
        place(path, node)
        for path in python()
        for node in ast.walk(tree(path))
        for name in _imported(node)
        if name.split(".")[0] in OUR_FOLDERS - _foreign_names()
    ]
    assert [] == short


def test_nothing_that_runs_data_as_code():
    """No pickle and its like, no eval or exec, no shell, no weak hash; a test may attack with one."""
    found = [
        place(path, node)
        for path in code()
        for node in ast.walk(tree(path))
        if FORBIDDEN_MODULES & {name.split(".")[0] for name in _imported(node)}
        or (isinstance(node, ast.Call) and (_is_forbidden(node) or _uses_a_shell(node)))
    ]
    assert [] == found


def test_no_star_imports():
    """A reader can tell where each name comes from."""
    stars = [
        place(path, node)
        for path in code()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]
    assert [] == stars


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""] if node.level == 0 else ["relative"]
    return []


def _foreign_names() -> set[str]:
    """Name folders of ours that share their name with a library which we may import by that name."""
    return {"build"}


def _is_forbidden(call: ast.Call) -> bool:
    return dotted(call.func) in FORBIDDEN_CALLS


def _uses_a_shell(call: ast.Call) -> bool:
    return any(
        keyword.arg == "shell" and isinstance(keyword.value, ast.Constant) and bool(keyword.value.value)
        for keyword in call.keywords
    )

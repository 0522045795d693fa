"""Files carry names from the domain and stay small enough to hold in the head."""

import ast

from holdfast.tests.support.repository import ROOT, code, place, python, tree

BANNED_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
MOST_LINES_PER_FILE = 400
MOST_LINES_PER_FUNCTION = 60


def test_no_module_is_a_drawer():
    """No module or folder is called manager, util, common, base or misc."""
    drawers = [
        str(path.relative_to(ROOT))
        for path in python()
        if BANNED_NAMES & {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
    ]
    assert [] == drawers


def test_files_stay_small():
    """No file of the package is longer than 400 lines."""
    long = [
        str(path.relative_to(ROOT))
        for path in code()
        if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES_PER_FILE
    ]
    assert [] == long


def test_functions_stay_small():
    """No function that everything runs through: none is longer than 60 lines with its docstring."""
    long = [
        f"{place(path, node)} {node.name}"
        for path in code()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= MOST_LINES_PER_FUNCTION
    ]
    assert [] == long


def test_every_package_of_code_has_its_init_file():
    """A folder with code says what it is for in its ``__init__.py``; migrations are loaded as files."""
    bare = sorted(
        str(folder.relative_to(ROOT))
        for folder in {path.parent for path in code()}
        if not (folder / "__init__.py").exists() and folder.name != "versions"
    )
    assert [] == bare

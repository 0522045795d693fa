"""The files of this repository, for tests that hold its shape."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
NO_CODE = {"benchmarks", "build", "dist", "docs", "tests"}
TEXT = {
    "", ".cfg", ".css", ".example", ".html", ".ini", ".js", ".json", ".lock", ".lua", ".mako", ".md", ".py",
    ".rst", ".sh", ".sql", ".toml", ".txt", ".typed", ".yaml", ".yml",
}  # fmt: skip


@cache
def files() -> tuple[Path, ...]:
    """List every file that belongs to the repository: tracked or new, not ignored."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607  git is on PATH
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = {ROOT / name for name in listed.stdout.split("\0") if name}
        return tuple(sorted(path for path in found if path.is_file()))
    return tuple(sorted(path for path in ROOT.rglob("*") if path.is_file() and not _is_generated(path)))


def texts() -> Iterator[tuple[Path, str]]:
    """Give every text file with its content."""
    for path in files():
        if path.suffix in TEXT:
            yield path, path.read_text(encoding="utf-8")


def code() -> tuple[Path, ...]:
    """List the Python files of the package: no tests, no benchmarks."""
    return tuple(path for path in python() if path.relative_to(ROOT).parts[0] not in NO_CODE)


def python() -> tuple[Path, ...]:
    """List every Python file, tests and benchmarks included."""
    return tuple(path for path in files() if path.suffix == ".py")


@cache
def tree(path: Path) -> ast.Module:
    """Parse a Python file, once."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path, node: ast.AST | int) -> str:
    """Name a line as editors open it, from the root of the repository."""
    line = node if isinstance(node, int) else getattr(node, "lineno", 1)
    return f"{path.relative_to(ROOT)}:{line}"


def line_of(path: Path, node: ast.expr) -> str:
    """Give the text of the line where a node starts."""
    return path.read_text(encoding="utf-8").splitlines()[node.lineno - 1]


def dotted(node: ast.expr) -> str:
    """Write ``a.b.c`` for a chain of names, and an empty text for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def _is_generated(path: Path) -> bool:
    first, *rest = path.relative_to(ROOT).parts
    hidden = first.startswith(".") and bool(rest) and first != ".ci"
    return hidden or first in {"build", "dist"} or "__pycache__" in path.parts or ".egg-info" in first

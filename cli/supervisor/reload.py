"""Notice when the code of the task modules changes."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path


class CodeWatch:
    """Compares the times of .py files between two looks."""

    def __init__(self, roots: Iterable[Path]) -> None:
        """Watch files, and all .py files below folders; takes the first look."""
        self.roots = tuple(roots)
        self._seen = self._look()

    def changed(self) -> tuple[Path, ...]:
        """Return what was changed, added or removed since the last call."""
        before, self._seen = self._seen, self._look()
        known = before.keys() | self._seen.keys()
        return tuple(sorted(path for path in known if before.get(path) != self._seen.get(path)))

    def _look(self) -> dict[Path, tuple[int, int]]:
        found: dict[Path, tuple[int, int]] = {}
        for root in self.roots:
            for path in _files(root):
                try:
                    status = path.stat()
                except FileNotFoundError:  # an editor is just replacing it
                    continue
                found[path] = (status.st_mtime_ns, status.st_size)
        return found


def roots_of(modules: Sequence[str], folders: Sequence[str] | None = None) -> list[Path]:
    """Return where the modules' top-level packages are, without importing anything."""
    places = [os.getcwd(), *sys.path] if folders is None else list(folders)  # noqa: PTH109 -- sys.path holds texts
    found: dict[Path, None] = {}
    for name in dict.fromkeys(module.partition(".")[0] for module in modules):
        for place in places:
            package, file = Path(place) / name, Path(place) / f"{name}.py"
            if package.is_dir() or file.is_file():
                found[(package if package.is_dir() else file).resolve()] = None
                break
    return list(found)


def _files(root: Path) -> Iterable[Path]:
    return root.rglob("*.py") if root.is_dir() else (root,)

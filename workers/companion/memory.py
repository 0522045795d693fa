"""Has the kernel killed for want of memory? It counts, and tells nobody else."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

_COUNT: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_GROUPS: Final = Path("/proc/self/cgroup")
_ROOT: Final = Path("/sys/fs/cgroup")
_MACHINE: Final = Path("/proc/vmstat")


class OutOfMemoryCount:
    """Tells whether the count of our control group, or else of the machine, was raised.

    A death is noticed shortly after it happened, so the count is compared with
    the one before the last look.
    """

    def __init__(self, read: Callable[[], int] | None = None) -> None:
        """Read the count with `read`; by default from the kernel."""
        self._read = read or _reader()
        self._seen = (self._read(),) * 2

    def look(self) -> None:
        """Note the count; called now and then."""
        self._seen = (self._seen[1], self._read())

    def was_raised(self) -> bool:
        """Tell whether something was killed for want of memory since the look before the last one."""
        return self._read() > self._seen[0]


def _reader() -> Callable[[], int]:
    file = next((path for path in (*_files_of_group(), _MACHINE) if _count_in(path) is not None), None)
    return (lambda: 0) if file is None else lambda: _count_in(file) or 0


def _files_of_group() -> Iterable[Path]:
    try:
        lines = _GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield _ROOT / path.lstrip("/") / "memory.events"
            yield _ROOT / "memory.events"
        elif "memory" in controllers.split(","):
            yield _ROOT / "memory" / path.lstrip("/") / "memory.oom_control"
            yield _ROOT / "memory" / "memory.oom_control"


def _count_in(file: Path) -> int | None:
    try:
        found = _COUNT.search(file.read_text(encoding="utf-8"))
    except OSError:
        return None
    return int(found[1]) if found else None

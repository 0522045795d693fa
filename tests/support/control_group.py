"""A memory control group of the kernel, for what happens when memory runs out."""

import contextlib
import os
import secrets
from collections.abc import Generator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def memory_group(most_mb: int) -> Generator[Path]:
    """Make a group whose processes may have so much memory together.

    Who writes its pid into `cgroup.procs` is in it, with all that it starts.
    Raises OSError where this process may not make one.
    """
    group = _parent() / f"holdfast-test-{secrets.token_hex(4)}"
    group.mkdir()
    try:
        # Version 2, or else version 1; without swap, which would put the kill off.
        names = (
            ("memory.max", "memory.swap.max")
            if (group / "memory.max").exists()
            else (
                "memory.limit_in_bytes",
                "memory.memsw.limit_in_bytes",
            )
        )
        (group / names[0]).write_text(str(most_mb * 2**20), encoding="ascii")
        with contextlib.suppress(OSError):
            (group / names[1]).write_text(
                str(most_mb * 2**20 if "memsw" in names[1] else 0), encoding="ascii"
            )
        yield group
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


def _parent() -> Path:
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _ROOT / "memory" / path.lstrip("/")
    if os.access(_ROOT / "cgroup.subtree_control", os.W_OK):
        return _ROOT
    raise PermissionError("no memory controller that this process may use")

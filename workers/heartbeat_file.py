"""The probes' answers as a file, for places where a probe is a command and no port may be open.

`holdfast probe` reads it. The file is replaced as a whole, so a reader never sees half of it. Its
age is judged on the machine's monotonic clock, which a set wall clock does not move.
"""

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from holdfast.workers.vitals import QUESTIONS, VitalLimits, WorkerVitals

WRITE_SECONDS: Final = 1.0
STALE_SECONDS: Final = 10.0
"""A file that was not replaced for so long was left behind, or its process is frozen."""

_log: Final = logging.getLogger(__name__)


class HeartbeatFile:
    """Writes the answers once a second, on a thread of its own: a slow disk delays no probe."""

    def __init__(
        self,
        path: Path,
        vitals: WorkerVitals,
        limits: VitalLimits,
        *,
        port: Callable[[], int | None],
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        """Write to `path`; `port` tells where the probe server listens, None if it does not."""
        self._path = path
        self._vitals = vitals
        self._limits = limits
        self._port = port
        self._write_seconds = write_seconds
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._has_failed = False

    def start(self) -> None:
        """Write once, then go on writing. A second call does nothing."""
        if self._thread is not None:
            return
        self._stopping.clear()
        self._write()
        self._thread = threading.Thread(target=self._run, name="holdfast-heartbeat-file", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop writing and remove the file. May be called twice, or before the start."""
        self._stopping.set()
        if self._thread is None:
            return
        self._thread.join(timeout=2 * self._write_seconds)
        self._thread = None
        with contextlib.suppress(OSError):
            if json.loads(self._path.read_text(encoding="utf-8")).get("pid") == os.getpid():
                self._path.unlink()

    def content(self) -> Mapping[str, object]:
        """Return what the file says now."""
        return {
            "pid": os.getpid(),
            "port": self._port(),
            "written_monotonic": time.monotonic(),
            "stale_after_seconds": STALE_SECONDS,
            "probes": {
                name: judge(self._vitals, self._limits).as_json() for name, judge in QUESTIONS.items()
            },
            "running": self._vitals.running(),
            "slots": self._vitals.slots(),
        }

    def _run(self) -> None:
        while not self._stopping.wait(self._write_seconds):
            self._write()

    def _write(self) -> None:
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.unlink(missing_ok=True)
            # Made anew, for us alone: what lies there under this name may be somebody's link.
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self.content(), file)
            beside.replace(self._path)
            self._has_failed = False
        except OSError as error:
            if not self._has_failed:  # once per outage, not once a second
                _log.warning("cannot write the heartbeat file %s: %s", self._path, error)
            self._has_failed = True

"""A real worker process, the way a user starts it."""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from holdfast.tests.support.processes import Server

WORKER_PROGRAM = "holdfast.workers.companion"
SAMPLE_TASKS = "holdfast.tests.support.sample_tasks"


def worker_environment(
    folder: Path, *, broker_url: str, database_url: str, **settings: object
) -> dict[str, str]:
    """Return the settings of a fast test platform; `settings` are lower-case names without the prefix."""
    chosen: dict[str, object] = {
        "broker_url": broker_url,
        "database_url": database_url,
        "data_dir": folder,
        "task_modules": SAMPLE_TASKS,
        "beat_seconds": 0.5,
        "lease_seconds": 2.0,
        "sweep_seconds": 0.2,
        "leader_seconds": 2.0,
        "shutdown_grace_seconds": 2.0,
        "worker_slots": 20,
        "probe_port": 0,
        **settings,
    }
    return {f"HOLDFAST_{name.upper()}": str(value) for name, value in chosen.items()}


class WorkerServer(Server):
    """What `holdfast worker` runs, with these settings; `program` is another way to run the same."""

    name = "worker"
    start_timeout_seconds = 60.0
    most_files: int | None = None
    """How many descriptors it may have; None: as many as we."""
    control_group: Path | None = None
    """The kernel's group that it belongs to; None: ours."""

    def __init__(
        self, environment: Mapping[str, str], program: str = WORKER_PROGRAM, name: str | None = None
    ) -> None:
        super().__init__()
        self.program = program
        self.node_name = name
        self.heartbeat_file = self.folder / "heartbeat"
        self._environment = {"HOLDFAST_PROBE_HEARTBEAT_FILE": str(self.heartbeat_file), **environment}

    @property
    def url(self) -> str:
        """A worker has no address."""
        return ""

    def command(self) -> Sequence[str]:
        """Start through this interpreter."""
        named = ["-n", self.node_name] if self.node_name else []
        worker = [
            sys.executable, "-m", self.program, "-A", "holdfast.workers.app", "worker", "-l", "INFO", *named,
        ]  # fmt: skip
        first = [f"ulimit -n {self.most_files}"] if self.most_files is not None else []
        if self.control_group is not None:
            first.append(f"echo $$ > {shlex.quote(str(self.control_group / 'cgroup.procs'))}")
        return ["/bin/sh", "-ec", "; ".join([*first, 'exec "$@"']), "sh", *worker] if first else worker

    def environment(self) -> Mapping[str, str]:
        """The settings, and nothing of the developer's own."""
        inherited = {name: "" for name in os.environ if name.startswith("HOLDFAST_")}
        return {**inherited, **self._environment, "PYTHONUNBUFFERED": "1"}

    def is_ready(self) -> bool:
        """Ready when Celery says so in the log, or where that is silent, the heartbeat file."""
        return " ready." in self.log or self._has_started()

    def _has_started(self) -> bool:
        try:
            content = json.loads(self.heartbeat_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return (
            content["pid"] in (self.pid, self.worker_pid) and content["probes"]["startup"]["status"] == "ok"
        )

    @property
    def worker_pid(self) -> int:
        """The process that runs handlers; `pid` is its companion's."""
        children = psutil.Process(self.pid).children()
        return children[0].pid if children else self.pid

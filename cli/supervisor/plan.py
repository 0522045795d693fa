"""What a platform consists of: which children, with which environment. Values only."""

import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdfast.cli.supervisor.child import ChildSpec
from holdfast.cli.worker_command import worker_argv
from holdfast.settings import Origin, Settings

WORKER_RANK: Final = 1
GRACE_SECONDS: Final = 3.0
"""How long running jobs may end when the platform stops, unless the settings say otherwise."""
LEADER_SECONDS: Final = 5.0
"""How long a leader may be silent, likewise: on one machine a killed worker is replaced at once."""
HURRY_SECONDS: Final = 10.0
"""What a worker needs when it is told to skip the grace."""
LEAVE_SECONDS: Final = 10.0
"""What a worker needs beyond the grace: handlers clean up, the ledger is written, the broker is left."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for on the command line."""

    workers: int = 1
    slots: int | None = None
    """None leaves it to the settings."""
    flower: bool = False
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Given to every child, so that it sees the settings that we see."""


@dataclass(frozen=True, slots=True)
class FlowerAccess:
    """Where Flower is, and with which login."""

    url: str
    user: str
    password: str = field(repr=False)


def worker_specs(settings: Settings, plan: Plan, log_dir: Path) -> list[ChildSpec]:
    """Return the workers, each with its own name, log, probe port and heartbeat file."""
    return [_worker_spec(settings, plan, log_dir, number) for number in range(1, plan.workers + 1)]


def flower_access(settings: Settings) -> FlowerAccess:
    """Return Flower's address and login; a password is made up where the settings have none."""
    chosen = settings.flower_password
    host = settings.flower_host
    shown = f"[{host}]" if ":" in host else host
    return FlowerAccess(
        url=f"http://{shown}:{settings.flower_port}",
        user=settings.flower_user,
        password=chosen.get_secret_value() if chosen else secrets.token_urlsafe(12),
    )


def flower_spec(settings: Settings, plan: Plan, log_dir: Path, access: FlowerAccess) -> ChildSpec:
    """Return Flower as a child; the password goes by the environment, not by the command line."""
    return ChildSpec(
        name="flower",
        argv=(sys.executable, "-P", "-m", "holdfast.cli.entry", "flower"),
        log_path=log_dir / "flower.log",
        environment={**_common(settings, plan), "HOLDFAST_FLOWER_PASSWORD": access.password},
        stop_seconds=5.0,
        rank=WORKER_RANK,
    )


def _worker_spec(settings: Settings, plan: Plan, log_dir: Path, number: int) -> ChildSpec:
    grace = _grace_seconds(settings)
    heartbeat = settings.heartbeat_path
    if number > 1:
        heartbeat = heartbeat.with_name(f"{heartbeat.stem}-{number}{heartbeat.suffix}")
    environment = {
        **_common(settings, plan),
        "HOLDFAST_SHUTDOWN_GRACE_SECONDS": f"{grace:g}",
        "HOLDFAST_LEADER_SECONDS": f"{_leader_seconds(settings):g}",
        "HOLDFAST_PROBE_PORT": str(_probe_port(settings, number)),
        "HOLDFAST_PROBE_HEARTBEAT_FILE": str(heartbeat),
    }
    if plan.slots is not None:
        environment["HOLDFAST_WORKER_SLOTS"] = str(plan.slots)
    return ChildSpec(
        name=f"worker-{number}",
        argv=worker_argv(
            name=f"worker-{number}@%h",
            log_level=settings.log_level,
            has_companion=settings.worker_companion,
        ),
        log_path=log_dir / f"worker-{number}.log",
        environment=environment,
        stop_seconds=grace + LEAVE_SECONDS,
        hurry_seconds=HURRY_SECONDS,
        rank=WORKER_RANK,
    )


def _common(settings: Settings, plan: Plan) -> dict[str, str]:
    return {"NO_COLOR": "1", **plan.environment, "HOLDFAST_DATA_DIR": str(settings.data_path)}


def _grace_seconds(settings: Settings) -> float:
    return (
        GRACE_SECONDS if _is_default(settings, "shutdown_grace_seconds") else settings.shutdown_grace_seconds
    )


def _leader_seconds(settings: Settings) -> float:
    quick = max(LEADER_SECONDS, 3 * settings.sweep_seconds)  # a leader must not change with each round
    return quick if _is_default(settings, "leader_seconds") else settings.leader_seconds


def _is_default(settings: Settings, field_name: str) -> bool:
    return settings.source_of(field_name).origin is Origin.DEFAULT


def _probe_port(settings: Settings, number: int) -> int:
    """Return the configured port, counted up for further workers; 0 (any) where it is taken."""
    port = settings.probe_port + number - 1
    if settings.probe_port == 0 or port > 65535:  # noqa: PLR2004 -- the largest port
        return 0
    return port if is_free(settings.probe_host, port) else 0


def is_free(host: str, port: int) -> bool:
    """Tell whether a program may listen on this port now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True

"""The embedded broker: a real redis-server (or valkey-server) as a child, for this machine only."""

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from holdfast.cli.doctor.machine import redis_binary
from holdfast.cli.errors import Interrupted, PartFailed, RedisServerMissing
from holdfast.cli.supervisor.child import ChildSpec
from holdfast.cli.supervisor.lock import unusable

NAME: Final = "redis"
HOST: Final = "127.0.0.1"
# Below the range from which the kernel takes ports for outgoing connections: a client that keeps knocking
# while the server is down would otherwise, one day, be given that very port and answer itself.
FIRST_PORT: Final = 20_000
LAST_PORT: Final = 32_000
START_SECONDS: Final = 60.0
"""A large append-only file takes a while to load."""
_ADDRESS: Final = "address.json"
_STOP_SECONDS: Final = 5.0


class EmbeddedRedis:
    """One redis-server on one data folder: address, configuration, readiness.

    Port and password are kept in the folder, so that producers which are
    connected find it again after a restart of the platform.
    """

    def __init__(self, data_dir: Path, log_path: Path) -> None:
        """Choose program, port and password. Raises RedisServerMissing or DataFolderUnusable."""
        program = redis_binary()
        if program is None:
            raise RedisServerMissing
        self._program = str(Path(program).absolute())
        self._log_path = log_path
        self.folder = data_dir / "redis"
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.port, self._password = _address(self.folder / _ADDRESS)
        except OSError as error:
            raise unusable(self.folder, error) from error
        self.engine = "Redis"

    @property
    def url(self) -> str:
        """The address with its password."""
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    def spec(self) -> ChildSpec:
        """Return how to run it. The configuration goes in by standard input: no other user can read it."""
        return ChildSpec(
            name=NAME,
            argv=(self._program, "-"),
            log_path=self._log_path,
            stdin=self._configuration().encode(),
            stop_seconds=_STOP_SECONDS,
            rank=0,
        )

    def wait_until_ready(self, is_failing: Callable[[], bool], pause: Callable[[float], bool]) -> None:
        """Wait for its answer, and learn what it is. Raises PartFailed; Interrupted when `pause` says so."""
        ends_at = time.monotonic() + START_SECONDS
        with self._client() as client:
            while not self._answers(client):
                if is_failing() or time.monotonic() > ends_at:
                    raise PartFailed(
                        detail=f"{self._program} does not answer", hint=f"Its log is {self._log_path}."
                    )
                if pause(0.02):
                    raise Interrupted

    def _answers(self, client: "redis.Redis") -> bool:
        with contextlib.suppress(redis.RedisError, OSError):
            info = client.info("server")
            name = "Valkey" if "valkey_version" in info else "Redis"
            self.engine = f"{name} {info.get('valkey_version') or info.get('redis_version', '')}".strip()
            return bool(client.ping())
        return False

    def _client(self) -> "redis.Redis":
        return redis.Redis.from_url(
            self.url,
            socket_timeout=2.0,
            socket_connect_timeout=2.0,
            decode_responses=True,
            retry=Retry(NoBackoff(), retries=0),
        )

    def _configuration(self) -> str:
        lines = [
            f"bind {HOST}",
            "protected-mode yes",
            f"port {self.port}",
            f"requirepass {quoted(self._password)}",
            f"dir {quoted(str(self.folder))}",
            # Messages of plain Celery producers are not in the ledger until they are adopted.
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
            "loglevel notice",
            'logfile ""',
        ]
        return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """Write a value as redis.conf reads it, blanks and all."""
    marks = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(marks.get(sign, sign) for sign in text) + '"'


def _address(path: Path) -> tuple[int, str]:
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        port, password = int(content["port"]), str(content["password"])
        if FIRST_PORT <= port < LAST_PORT and password.isalnum() and _is_free(port):
            return port, password
    port, password = _free_port(), secrets.token_hex(24)
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"port": port, "password": password}, file)
    draft.replace(path)
    return port, password


def _free_port() -> int:
    while True:
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)
        if _is_free(port):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As redis-server binds: connections of the last run that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True

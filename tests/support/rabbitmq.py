"""A real RabbitMQ node that has nothing to do with the machine's own."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import amqp

from holdfast.tests.support.processes import LOOPBACK, Server, ServerFailed, free_port, require

# Debian's program on PATH changes to a system user; the real one stands here.
USUAL_PLACES = (Path("/usr/lib/rabbitmq/bin"), Path("/usr/local/sbin"), Path("/opt/rabbitmq/sbin"))


class RabbitMQServer(Server):
    """A RabbitMQ node with its own name, data, cookie and port mapper (epmd); plugins are off.

    Ready within about five seconds. The guest account may connect over the loopback only.
    """

    name = "rabbitmq"
    start_timeout_seconds = 60.0
    stop_timeout_seconds = 30.0

    def __init__(self) -> None:
        self.program = require(rabbitmq_binary(), "rabbitmq-server")
        super().__init__()
        self.distribution_port = free_port()
        self.epmd_port = free_port()
        self.node = f"holdfast-{secrets.token_hex(4)}@localhost"

    @property
    def url(self) -> str:
        """The address of the default virtual host."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def command(self) -> list[str]:
        """Run the node in the foreground, without plugins."""
        (self.folder / "enabled_plugins").write_text("[].\n", encoding="ascii")
        (self.folder / "rabbitmq.conf").write_text(
            "vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 10MB\n", encoding="ascii"
        )
        return [self.program, "-noinput"]

    def environment(self) -> Mapping[str, str]:
        """Point everything that the node keeps at our folder and our ports."""
        folder = str(self.folder)
        return {
            "HOME": folder,
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_ALLOW_INPUT": "1",  # makes the script replace itself by the node
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2",
        }

    def is_ready(self) -> bool:
        """Tell whether a client can open a connection."""
        with amqp.Connection(f"{LOOPBACK}:{self.port}", connect_timeout=5) as connection:
            return bool(connection.connected)

    def control(self, *words: str) -> str:
        """Give rabbitmqctl's answer; takes about two seconds. Raises ServerFailed with what it said."""
        done = subprocess.run(
            [str(Path(self.program).with_name("rabbitmqctl")), "--node", self.node, *words],
            env={**os.environ, **self.environment()}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ServerFailed(f"rabbitmqctl {words}: {done.stdout}{done.stderr}")
        return done.stdout


def rabbitmq_binary() -> str | None:
    """Find rabbitmq-server behind the distribution's wrapper, else on PATH."""
    for place in USUAL_PLACES:
        if (place / "rabbitmq-server").is_file():
            return str(place / "rabbitmq-server")
    return shutil.which("rabbitmq-server")

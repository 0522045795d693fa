"""A real Flower, the way a user starts it."""

import base64
import http.client
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.tests.support.processes import LOOPBACK, Server

APP = "holdfast.workers.app"
TIMEOUT_SECONDS = 15.0


class FlowerServer(Server):
    """`celery -A holdfast.workers.app flower` with these settings and options."""

    name = "flower"
    start_timeout_seconds = 30.0

    def __init__(self, environment: Mapping[str, str], *options: str) -> None:
        super().__init__()
        self._environment = dict(environment)
        self._options = options

    @property
    def url(self) -> str:
        """The address of the pages."""
        return f"http://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        """Start through this interpreter."""
        return [sys.executable, "-m", "celery", "-A", APP, "flower", f"--port={self.port}", *self._options]

    def environment(self) -> Mapping[str, str]:
        """The settings, and nothing of the developer's own."""
        foreign = {name: "" for name in os.environ if name.startswith("HOLDFAST_")}
        return {**foreign, **self._environment, "PYTHONUNBUFFERED": "1"}

    def is_ready(self) -> bool:
        """Ready when it answers anything: under a prefix even its health check lies elsewhere."""
        return self.get("/healthcheck")[0] in {200, 404}

    @property
    def printed_password(self) -> str:
        """The password that was made up and printed."""
        found = re.search(r"password (\S+) \(made up", self.log)
        return found[1] if found else ""

    def get(self, path: str, login: str = "", method: str = "GET") -> tuple[int, str]:
        """Ask for a page; `login` is `user:password`."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=TIMEOUT_SECONDS)
        headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def json(self, path: str, login: str) -> Any:
        """Ask for a page of the API."""
        status, body = self.get(path, login)
        assert status == 200, f"{path}: {status} {body[:200]}"
        return json.loads(body)

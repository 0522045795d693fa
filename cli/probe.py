"""`holdfast probe live|ready|startup`: ask the worker on this machine, in a few milliseconds.

For `exec` probes, which are started every few seconds for ever: so the standard library only, and
of that only what is needed, since imports are where the time goes (benchmarks/probe.py). Asks the
probe port, or reads the heartbeat file; what the worker thinks of itself is `workers/vitals.py`.
"""

import importlib
import os
import socket
import sys
import time
from types import ModuleType

from holdfast.cli.unknown import CannotAsk

FIT, UNFIT, UNKNOWN = 0, 1, 2
"""Exit codes: the worker says yes; it says no; it cannot be asked, or the question is wrong."""

PATHS = {"live": b"/livez", "ready": b"/readyz", "startup": b"/startupz"}
DEFAULT_PORT = "8710"
DEFAULT_FOLDER = ".holdfast"
ASK_SECONDS = 2.0
LARGEST_ANSWER_BYTES = 65536
USAGE = """\
usage: holdfast probe live|ready|startup [--port N [--host ADDRESS] | --file PATH] [--quiet]

Ask the worker on this machine. Exit code 0: yes, 1: no, 2: it cannot be asked.
Without --port and --file: HOLDFAST_PROBE_PORT (else 8710) on HOLDFAST_PROBE_HOST (else this
machine). Port 0: the one that the heartbeat file names, which is HOLDFAST_PROBE_HEARTBEAT_FILE,
else worker.heartbeat in HOLDFAST_DATA_DIR, else in .holdfast.
"""


def main(arguments: list[str]) -> int:
    """Ask, print one line, and return the exit code."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write(USAGE)
        return FIT if arguments else UNKNOWN
    try:
        question, options = _read(arguments)
        is_fit, said = _ask(question, options)
    except CannotAsk as error:
        sys.stderr.write(f"unknown: {error}\n")
        return UNKNOWN
    if "quiet" not in options:
        sys.stdout.write(f"{said}\n")
    return FIT if is_fit else UNFIT


def _read(arguments: list[str]) -> tuple[str, dict[str, str]]:
    question, *rest = arguments
    if question not in PATHS:
        raise CannotAsk(f"{question!r} is none of {', '.join(PATHS)}")
    options: dict[str, str] = {}
    while rest:
        name, sign, value = rest.pop(0).partition("=")
        if name in {"--quiet", "-q"} and not sign:
            options["quiet"] = "yes"
        elif name in {"--port", "--host", "--file"} and (sign or rest):
            options[name[2:]] = value if sign else rest.pop(0)
        else:
            raise CannotAsk(f"{name!r} is not understood; see holdfast probe --help")
    return question, options


def _ask(question: str, options: dict[str, str]) -> tuple[bool, str]:
    if "file" in options:
        answer: tuple[bool, str] = _file().ask(question, options["file"])
        return answer
    port = _number(options.get("port") or os.environ.get("HOLDFAST_PROBE_PORT") or DEFAULT_PORT)
    if port == 0:
        port = _file().port_in(_default_file())
    host = options.get("host") or os.environ.get("HOLDFAST_PROBE_HOST") or "127.0.0.1"
    return _ask_server(question, {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)  # noqa: S104 -- not a bind


def _file() -> ModuleType:
    # By name and only when it is asked for: the JSON reader costs a sixth of the time a probe may take.
    return importlib.import_module("holdfast.cli.probe_file")


def _default_file() -> str:
    folder = os.environ.get("HOLDFAST_DATA_DIR") or DEFAULT_FOLDER
    return os.environ.get("HOLDFAST_PROBE_HEARTBEAT_FILE") or f"{folder}/worker.heartbeat"


def _ask_server(question: str, host: str, port: int) -> tuple[bool, str]:
    request = b"GET " + PATHS[question] + b" HTTP/1.0\r\nHost: localhost\r\n\r\n"
    answer = b""
    deadline = time.monotonic() + ASK_SECONDS
    try:
        # The host as bytes: Python loads its tables for international names for any text.
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as connection:
            connection.settimeout(ASK_SECONDS)
            connection.connect(address)
            connection.sendall(request)
            while part := connection.recv(4096):
                answer += part
                if time.monotonic() > deadline or len(answer) > LARGEST_ANSWER_BYTES:
                    raise CannotAsk(f"{host}:{port} does not come to an end")
    except (OSError, UnicodeError) as error:
        raise CannotAsk(f"{host}:{port}: {error}") from error
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split(b" ")
    if len(words) < 2 or words[1] not in {b"200", b"503"}:  # noqa: PLR2004 -- version and status
        raise CannotAsk(f"{host}:{port} is no worker's probe")
    return words[1] == b"200", body.decode("utf-8", "replace").strip()


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:  # noqa: PLR2004 -- the largest port
        raise CannotAsk(f"{text!r} is no port")
    return int(text)

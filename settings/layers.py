"""Reading the places that values come from, and remembering which place spoke."""

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dotenv.parser import parse_stream
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource, SecretsSettingsSource
from pydantic_settings import SettingsError as UnsafeSecrets

from holdfast.jobs.errors import SettingsError
from holdfast.settings.checks.strangers import OUTRANKING
from holdfast.settings.model import BOOTSTRAP, PREFIX, Settings, variable_of
from holdfast.settings.provenance import OVERRIDE, Origin, Source, Stranger

USUAL_ENV_FILE: Final = Path(".env")
USUAL_SECRETS_DIR: Final = Path("/run/secrets")
_OTHERS: Final = frozenset({"HOLDFAST_REQUIRE_ALL"})
"""Variables with our prefix that are no settings: the switch of our own tests."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One place: raw values by field, and where each stands."""

    values: Mapping[str, object]
    sources: Mapping[str, Source]
    strangers: tuple[Stranger, ...] = ()


def read(overrides: Mapping[str, object]) -> list[Layer]:
    """Read every place, the strongest first; SettingsError when one is there and cannot be read."""
    environment = _environment()
    given = {**environment.values, **overrides}
    env_file = _place(given.get("env_file"), USUAL_ENV_FILE)
    folder = _place(given.get("secrets_dir"), USUAL_SECRETS_DIR)
    try:
        return [
            Layer(overrides, dict.fromkeys(overrides, OVERRIDE)),
            environment,
            _env_file(env_file),
            _secrets(folder),
        ]
    except (OSError, UnicodeDecodeError, UnsafeSecrets) as error:
        raise SettingsError(
            detail=f"{env_file} or the folder {folder} cannot be read: {error}",
            hint="Make both readable for this user.",
        ) from error


def _place(given: object, usual: Path) -> Path:
    if given is None:
        return usual
    path = Path(str(given)).expanduser()
    if not path.exists():
        raise SettingsError(
            detail=f"{path} is named as a place of settings and is not there", hint="Name one that is there."
        )
    return path


def _environment() -> Layer:
    values = EnvSettingsSource(Settings)()
    sources = {field: Source(Origin.ENVIRONMENT, variable_of(field)) for field in values}
    return Layer(values, sources, _strangers(os.environ, lambda name: Source(Origin.ENVIRONMENT, name)))


def _env_file(path: Path) -> Layer:
    if not path.is_file():
        return Layer({}, {})
    found = DotEnvSettingsSource(Settings, env_file=path, dotenv_filtering="only_existing")()
    lines = _lines(path)

    def source(variable: str) -> Source:
        return Source(Origin.ENV_FILE, variable, path, lines.get(variable.upper()))

    values = {field: value for field, value in found.items() if field not in BOOTSTRAP}
    misplaced = tuple(
        Stranger(variable_of(field), source(variable_of(field)), None)
        for field in found
        if field in BOOTSTRAP
    )
    known = {field: source(variable_of(field)) for field in values}
    return Layer(values, known, misplaced + _strangers(lines, source))


def _secrets(folder: Path) -> Layer:
    if not folder.is_dir():
        return Layer({}, {})
    values = SecretsSettingsSource(Settings, secrets_dir=folder)()
    files = {path.name.upper(): path for path in folder.iterdir()}
    sources = {
        field: Source(Origin.SECRETS_DIR, variable_of(field), files.get(variable_of(field)))
        for field in values
    }
    return Layer(values, sources)


def _lines(path: Path) -> dict[str, int]:
    with path.open(encoding="utf-8") as file:
        # The parser counts the blank lines before a binding to it; the name stands on the last of them.
        return {
            binding.key.upper(): binding.original.line + _leading_newlines(binding.original.string)
            for binding in parse_stream(file)
            if binding.key
        }


def _leading_newlines(text: str) -> int:
    return text[: len(text) - len(text.lstrip())].count("\n")


def _strangers(variables: Iterable[str], source: Callable[[str], Source]) -> tuple[Stranger, ...]:
    known = {variable_of(field) for field in Settings.model_fields}
    known_elsewhere = known | _OTHERS
    unknown = [
        name
        for name in sorted(variables)
        if name in OUTRANKING or (name.upper().startswith(PREFIX) and name.upper() not in known_elsewhere)
    ]
    return tuple(Stranger(name, source(name), nearest(name.upper(), known)) for name in unknown)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like this one, if any is."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return found[0] if found else None

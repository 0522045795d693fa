"""Loading the settings: environment, `.env`, secrets folder, defaults, in this order of strength."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from holdfast.jobs.errors import SettingsError
from holdfast.settings import layers
from holdfast.settings.checks import check
from holdfast.settings.model import Settings, variable_of
from holdfast.settings.provenance import DEFAULT, Source
from holdfast.settings.report import Finding, Report


@dataclass(frozen=True, slots=True)
class Examination:
    """Settings to look at though some values are wrong: a default stands where a wrong value stood."""

    settings: Settings
    report: Report


def load(**overrides: object) -> Settings:
    """Load the settings, or raise SettingsError that lists everything there is to mend.

    `overrides` are settings by field name; they win over every other place.
    In production warnings refuse as errors do; elsewhere read them with `report`.
    """
    examination = examine(**overrides)
    examination.report.raise_errors()
    return examination.settings


def examine(**overrides: object) -> Examination:
    """Load what can be loaded and report the rest, for people who look for a mistake."""
    try:
        places = layers.read(overrides)
    except SettingsError as error:
        unreadable = Finding("HOLDFAST_ENV_FILE, HOLDFAST_SECRETS_DIR", error.detail, error.advice)
        return Examination(Settings(), Report(errors=(unreadable,)))
    values: dict[str, object] = {}
    sources: dict[str, Source] = {}
    for place in reversed(places):
        values.update(place.values)
        sources.update(place.sources)
    strangers = tuple(stranger for place in places for stranger in place.strangers)
    invalid: dict[str, Finding] = {}
    try:
        settings = Settings.loaded(values, sources, strangers)
    except ValidationError as error:
        invalid = _findings(error, sources)
        sound = {field: value for field, value in values.items() if field not in invalid}
        settings = Settings.loaded(sound, sources, strangers)
    return Examination(settings, Report(errors=tuple(invalid.values())) + check(settings))


def report(settings: Settings) -> Report:
    """Return what is wrong with the settings: errors refuse the start, and in production warnings do, too."""
    return check(settings)


def sources(settings: Settings) -> dict[str, Source]:
    """Tell for each setting where its value came from."""
    return {field: settings.source_of(field) for field in Settings.model_fields}


def _findings(error: ValidationError, sources: Mapping[str, Source]) -> dict[str, Finding]:
    findings: dict[str, Finding] = {}
    for detail in error.errors(include_input=False, include_url=False):
        field = str(detail["loc"][0])
        findings.setdefault(field, _finding(field, detail, sources.get(field, DEFAULT)))
    return findings


def _finding(field: str, detail: ErrorDetails, source: Source) -> Finding:
    if detail["type"] == "extra_forbidden":
        meant = layers.nearest(field, Settings.model_fields)
        remedy = f"Did you mean {meant}?" if meant else "Take it away."
        return Finding(field, "there is no such setting", remedy)
    problem = detail["msg"].removeprefix("Value error, ")
    description = (Settings.model_fields[field].description or "").strip()
    return Finding(
        variable_of(field), f"{problem[:1].lower()}{problem[1:]} (from {source})", f"It is: {description}"
    )

"""Documents that are written from the model."""

from pathlib import Path

import pytest

from holdfast.settings import Settings, document, load
from holdfast.settings.effective import effective
from holdfast.settings.model import GROUPS, variable_of

ROOT = Path(__file__).parents[3]


def test_the_example_file_is_the_models():
    """`.env.example` is what `python -m holdfast.settings.document` writes."""
    assert document.env_example() == (ROOT / ".env.example").read_text(encoding="utf-8")


def test_the_page_is_the_models():
    """`docs/settings.md` is what `python -m holdfast.settings.document` writes."""
    assert document.settings_page() == (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_example_file_with_everything_taken_in_changes_nothing(folder):
    """Every default in the example is written as the settings read it."""
    lines = document.env_example().splitlines()
    (folder / ".env").write_text(
        "\n".join(line.removeprefix("#") for line in lines if line.startswith("#HOLDFAST_"))
    )
    loaded = load()
    assert Settings().model_dump() == loaded.model_dump()
    assert () == loaded.strangers


def test_every_setting_is_documented_once():
    """No field of the model is outside the groups, and each says what it is."""
    grouped = [name for group in GROUPS for name in group.model_fields]
    assert sorted(Settings.model_fields) == sorted(grouped)
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize(
    "name", [name for name in Settings.model_fields if name.endswith(("_seconds", "_bytes"))]
)
def test_durations_and_sizes_are_bounded(name):
    """A number with a unit has a lower and an upper bound."""
    kinds = {type(rule).__name__ for rule in Settings.model_fields[name].metadata}
    assert kinds & {"Ge", "Gt"}
    assert "Le" in kinds


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if field.annotation is float]
)
def test_numbers_of_time_carry_their_unit(name):
    """A float without a unit in its name is a riddle."""
    assert name.endswith("_seconds")


def test_what_people_see_holds_no_secret():
    """The effective settings mask passwords, also those inside addresses."""
    settings = load(
        broker_url="redis://u:hunter2secret@127.0.0.1/0",
        database_url="postgresql://u:hunter2secret@127.0.0.1/x",
        flower_password="hunter2secret",
    )
    rows = {row.variable: row for row in effective(settings)}
    assert [variable_of(name) for group in GROUPS for name in group.model_fields] == list(rows)
    assert not [row for row in rows.values() if "hunter2secret" in row.value]
    assert "redis://u:********@127.0.0.1/0" == rows["HOLDFAST_BROKER_URL"].value
    assert "********" == rows["HOLDFAST_FLOWER_PASSWORD"].value
    assert "celery" == rows["HOLDFAST_INTAKE_QUEUE"].value


def test_what_people_see_of_the_embedded_platform(folder):
    """What is left open is shown as it holds."""
    rows = {row.variable: row.value for row in effective(load())}
    assert f"embedded: sqlite:///{folder}/.holdfast/holdfast.db" == rows["HOLDFAST_DATABASE_URL"]
    assert "embedded: not running" == rows["HOLDFAST_BROKER_URL"]
    assert "true" == rows["HOLDFAST_ADOPTION"]

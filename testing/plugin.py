"""For pytest: the fixture `holdfast`, with `pytest_plugins = ["holdfast.testing.plugin"]` in a `conftest.py`.

Not loaded by itself: a program that has Holdfast installed does not want its
every test run to import it.
"""

from collections.abc import Iterator

import pytest

from holdfast.testing.platform import Platform


@pytest.fixture
def holdfast() -> Iterator[Platform]:
    """Give a platform of its own for the test: an empty ledger, a clock that stands still, no broker."""
    with Platform() as platform:
        yield platform

"""A platform for each test, with the tasks of the kit's own tests."""

from collections.abc import Iterator

import pytest

from holdfast.testing import Platform
from holdfast.tests.support.kit_tasks import REGISTRY, UPSTREAM


@pytest.fixture(autouse=True)
def upstream():
    """The world outside, as at the beginning."""
    UPSTREAM.forget()
    return UPSTREAM


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform that knows the kit's tasks."""
    with Platform(registry=REGISTRY) as made:
        yield made

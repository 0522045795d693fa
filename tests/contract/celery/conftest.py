"""What the contracts with Celery and kombu are tried on: real objects, connected to nothing unless said."""

import pytest
from celery import Celery
from kombu.asynchronous import Hub

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def app():
    """An application that has not connected to anything."""
    made = Celery("contract", broker=NOWHERE, set_as_current=False)
    made.conf.update(worker_hijack_root_logger=False, worker_redirect_stdouts=False)
    yield made
    made.close()


@pytest.fixture
def hub():
    """The event loop of kombu."""
    made = Hub()
    yield made
    made.close()

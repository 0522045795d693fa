"""What handlers find around them in a child: ledger, client and limits, as in the worker."""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.events import Events
from holdfast.ledger import connect
from holdfast.monitoring.logs import LogEvents
from holdfast.resilience.chaos import Injector
from holdfast.resilience.chaos_text import strategies_of
from holdfast.resilience.fleet import FLEET
from holdfast.resilience.sharing import share
from holdfast.tasks import ambient
from holdfast.tasks.agents.webhook.jobs import OUTBOUND
from holdfast.tasks.client import Client
from holdfast.tasks.doorbell import Doorbell
from holdfast.tasks.outbound import AddressRules
from holdfast.workers.limits import Limits
from holdfast.workers.upstreams import FleetUpstreams, Upstreams


class Parts:
    """Made in the child, after the fork: connections are not to be shared."""

    def __init__(self, app: Any) -> None:
        """Connect for the worker's application. Raises LedgerUnavailable."""
        settings = app.settings
        self.clock = SystemClock()
        self.limits = Limits(
            settings.soft_timeout_seconds,
            settings.hard_timeout_seconds,
            settings.result_largest_bytes,
            settings.arguments_largest_bytes,
        )
        self.upstreams: Upstreams = FleetUpstreams(FLEET)
        self.ledger = connect(replace(settings.ledger_config("holdfast-isolated"), pool_size=1))
        self._doorbell = Doorbell(
            app,
            ledger_id=self.ledger.ledger_id,
            queue_prefix=settings.names.queue_prefix,
            quorum=settings.broker().kind == "rabbitmq",
        )
        self.ledger.children.ring = self.ledger.concurrency.ring = self._doorbell.ring
        self.callers = 0
        """By what to divide a limit while the store is lost, as the worker said with the latest job."""
        FLEET.processes = lambda: self.callers
        FLEET.events = Events(LogEvents())
        share(settings.shared_state(), namespace=settings.namespace)
        if strategies := strategies_of(settings.chaos):
            FLEET.strike_by(Injector(strategies))
        OUTBOUND.rules = AddressRules.of(settings.webhook_allowed_networks)
        self._stack = ExitStack()
        self._stack.enter_context(
            ambient.use(
                Client(
                    self.ledger,
                    self._doorbell,
                    events=Events(LogEvents()),
                    registry=app.registry,
                    arguments_largest_bytes=settings.arguments_largest_bytes,
                )
            )
        )

    def close(self) -> None:
        """Send the rings that wait, tell what calls came to, and disconnect."""
        FLEET.stop()
        self._stack.close()
        self._doorbell.close()
        self.ledger.close()

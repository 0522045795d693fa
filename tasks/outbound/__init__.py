"""HTTP calls to addresses that somebody else named, which must not lead into our own network.

Knows neither Celery nor the ledger: of use in any task. `Outbound.call` makes a
call; `AddressRules` say which addresses it may go to.
"""

from holdfast.tasks.outbound.addresses import AddressRules
from holdfast.tasks.outbound.call import Answer, Call
from holdfast.tasks.outbound.outbound import Outbound
from holdfast.tasks.outbound.resolving import Resolver, resolve

__all__ = ["AddressRules", "Answer", "Call", "Outbound", "Resolver", "resolve"]

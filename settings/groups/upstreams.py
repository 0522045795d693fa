"""What the fleet knows together of its upstreams, and which of them the webhook task may call."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from holdfast.resilience.chaos_text import strategies_of
from holdfast.settings.groups.values import TextList


def _chaos(value: str) -> str:
    strategies_of(value)
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        ip_network(text)  # its ValueError says what is wrong with which
    return value


class UpstreamFields(BaseModel):
    """Upstreams."""

    shared_state_url: SecretStr | None = Field(
        default=None,
        description="A Redis (`redis://`, `rediss://`, `redis+socket:///path`) in which all processes share "
        "what they know of upstreams: breakers, limits, cached answers. Unset: the broker's, if that is a "
        "Redis; else each process knows what it saw itself.",
    )
    chaos: Annotated[str, AfterValidator(_chaos)] = Field(
        default="",
        description="Faults on purpose, to see what an ill upstream would do: `search:fault=0.2,"
        "latency=0.5..2s,hang=0.01,throttle=0.1;5s *:latency=100ms`. Chances are of each guarded call; the "
        "first entry that means an upstream holds. Refused in production, unless the next setting allows it.",
    )
    chaos_in_production: bool = Field(
        default=False, description="Lets HOLDFAST_CHAOS fail calls in production, too."
    )
    webhook_allowed_networks: Annotated[TextList, AfterValidator(_networks)] = Field(
        default=(),
        description="Networks (`10.1.0.0/16`) or addresses that the shipped `webhook` task may call "
        "beside the public internet. Unset: none. Metadata services stay forbidden.",
    )

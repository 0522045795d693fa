"""How we log."""

from typing import Literal

from pydantic import BaseModel, Field


class LogFields(BaseModel):
    """Logs."""

    log_format: Literal["auto", "json", "terminal"] = Field(
        default="auto", description="`auto`: for a terminal if there is one, else JSON lines."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="What is logged at the least."
    )

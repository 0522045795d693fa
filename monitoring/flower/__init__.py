"""Flower, made safe: a password, this machine only, bounded memory, no payloads, no secrets."""

from holdfast.monitoring.flower.composition import prepare_if_invoked, secrets_of

__all__ = ["prepare_if_invoked", "secrets_of"]

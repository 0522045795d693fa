"""Flower, made safe: a password, this machine only, bounded memory, no payloads, no secrets."""

from holdfast.monitoring.flower.composition import prepare_if_invoked, secrets_of
from holdfast.monitoring.flower.defaults import FlowerDefaults, is_invoked, prepare

__all__ = ["FlowerDefaults", "is_invoked", "prepare", "prepare_if_invoked", "secrets_of"]

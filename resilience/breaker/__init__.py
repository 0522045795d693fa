"""The circuit breaker of a fleet: one decision, whole numbers, told by messages."""

"""The operator's hands: one file per command. Imports nothing, so that probes stay fast."""

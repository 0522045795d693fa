"""The settings, one file per group; `model.py` puts them together."""

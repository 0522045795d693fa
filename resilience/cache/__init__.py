"""Answers that are kept: in this process first, then in a Redis that the fleet shares."""

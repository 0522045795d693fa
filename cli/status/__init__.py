"""The status line of `holdfast up`."""

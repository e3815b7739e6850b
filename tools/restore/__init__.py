"""Brings back items that a table has lost: `make restore`."""

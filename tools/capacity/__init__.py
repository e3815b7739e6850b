"""Capacity: how many orders per second each hop carries."""

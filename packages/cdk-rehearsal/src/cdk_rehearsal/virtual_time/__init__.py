"""Discrete-event simulation: a virtual clock, and processes that take turns on it."""

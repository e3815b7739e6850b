"""Tests of what follows from the events and the handlers."""

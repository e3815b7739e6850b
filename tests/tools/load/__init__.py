"""Tests of make load and make latency."""

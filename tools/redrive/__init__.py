"""Delivers events again that a Custom Event Bus gave up: `make redrive`."""

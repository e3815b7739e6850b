"""Installs this checkout's dependencies, and isolates its commands from the machine's settings."""

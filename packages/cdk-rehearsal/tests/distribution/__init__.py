"""Tests of what the package installs: the command, the pytest plug-in, the wheel."""

"""Tests of the demo: reading files, auditing books, reporting."""

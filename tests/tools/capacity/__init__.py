"""Tests of make capacity."""

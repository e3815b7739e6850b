"""Tests of the load on a deployed stage."""

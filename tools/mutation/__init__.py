"""Mutation tests: which checks notice a weakened template, or a changed kernel."""

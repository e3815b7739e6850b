"""Whole flows: the synthesized application at work in a rehearsal."""

"""Weakens the synthesized templates, one property at a time, and sees which checks notice."""

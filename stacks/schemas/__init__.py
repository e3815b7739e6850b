"""The published events as the templates need them: which there are, and their schemas."""

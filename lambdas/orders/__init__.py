"""Orders: accepts orders through an API, and owns their status."""

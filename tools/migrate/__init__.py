"""The rehearsal of a migration: `make migrate`. All consumers and producers move, and back."""

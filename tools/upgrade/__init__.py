"""The rehearsal of a rolling upgrade: `make upgrade`. Two releases meet while orders flow."""

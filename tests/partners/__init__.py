"""The edges of stage `prod` to its partners: real clients, and hosts that break."""

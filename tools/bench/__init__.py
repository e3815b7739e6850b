"""What a cold start costs: each handler's import, beside that of a typical handler."""

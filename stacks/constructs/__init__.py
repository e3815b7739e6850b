"""The few patterns that all contexts share."""

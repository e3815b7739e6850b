"""The patterns that all contexts share."""

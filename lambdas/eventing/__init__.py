"""The shared kernel: defines, receives, commits and publishes events. It has no domain words."""

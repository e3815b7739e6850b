"""The shared kernel: how events are defined, received, committed and published. No domain words."""

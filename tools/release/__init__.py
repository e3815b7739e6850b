"""Releases a commit to a stage, with a smoke test and a roll back: `make release STAGE=dev`."""

"""The smoke test of a deployed stage: one synthetic customer, from sign-in to erasure."""

"""Which of their permissions the roles use: `make permissions`."""

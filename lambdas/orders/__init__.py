"""Orders: takes orders through an API and owns the status of each."""

"""Returns: takes orders back, with a person's consent."""

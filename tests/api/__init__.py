"""The HTTP API, and the document that says what it takes and answers."""

"""The catalogue: what its pages say, where their links lead, and how they behave in a browser."""

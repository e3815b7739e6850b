"""The catalogue: a static site of what the system consists of, read from classes and templates."""

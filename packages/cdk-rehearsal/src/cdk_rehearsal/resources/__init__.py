"""Creates the resources of a template: one module for each service."""

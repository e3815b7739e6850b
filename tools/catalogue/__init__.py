"""The catalogue: a static site, generated from classes, templates and documents."""

"""The services: what they do in AWS and not in moto, above all deliveries between them."""

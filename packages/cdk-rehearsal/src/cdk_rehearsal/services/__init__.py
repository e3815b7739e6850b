"""What AWS does between the services, and moto does not: deliver."""

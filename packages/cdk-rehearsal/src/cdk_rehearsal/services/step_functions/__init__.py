"""Step Functions: moto's interpreter on the scheduler, with what moto lacks."""

"""The console of a deployed application: reads an AWS account, and nothing else."""

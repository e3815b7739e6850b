"""The load test of a deployed stage: bounded load by Locust, beside what is predicted."""

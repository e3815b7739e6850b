"""This checkout on its machine: what is installed into it, and the environment its commands see."""

"""Hypothesis for all tests: a slow machine is no failure, and fifty examples find what a hundred do."""

from hypothesis import HealthCheck, settings

settings.register_profile("costspan", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("costspan")

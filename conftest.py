"""What all tests have in common."""

from hypothesis import HealthCheck, settings

# How fast the machine is that runs them is not what properties are about.
settings.register_profile(
    "headwater", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("headwater")

# SPDX-License-Identifier: MIT
from hypothesis import HealthCheck, settings

# How fast a machine is, and what else it does, decides no test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

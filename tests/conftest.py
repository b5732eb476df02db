# SPDX-License-Identifier: MIT
import signal

from hypothesis import HealthCheck, settings

# How fast a machine is, and what else it does, decides no test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A shell without job control has what it starts in the background ignore Ctrl-C, and programs
# inherit that; the consoles that tests open need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

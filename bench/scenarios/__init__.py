"""What scripts/bench measures: one function for each scenario, by subject. In the order of --list."""

from bench.scenarios import throughput, small, crowds, volumes, pull, s3, engine  # noqa: F401: they register their scenarios
from bench.scenarios.registry import SCENARIOS  # noqa: F401

"""What scripts/bench measures: one function for each scenario, by subject. In the order of --list."""

from bench.scenarios import (throughput, small, hot_block, crowds, volumes, hung_volume, pull,  # noqa: F401: they register
                             s3, s3_crowds, azure, engine, keepctl, keepctl_balance, keepctl_clone,
                             keepctl_replicate, keepctl_snapshot, versions)
from bench.scenarios.registry import SCENARIOS  # noqa: F401

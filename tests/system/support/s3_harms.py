"""All faults between a daemon and S3: every fault of the proxy, some with several parameters."""

# By name: the fields of the rule in addition to the operation. The name is the fault, unless a field says otherwise.
HARMS = {
    "reset": {}, "reset in mid-body": {"fault": "reset", "after": 1000}, "hang": {}, "status": {"status": 500},
    "conflict": {"fault": "status", "status": 409, "code": "OperationAborted"}, "slow_down": {},
    "slow_down at once": {"fault": "slow_down", "early": True}, "internal_error": {}, "html": {}, "no_body": {},
    "region_redirect": {}, "region_wrong": {}, "time_skewed": {}, "expired_token": {}, "delay": {"seconds": 0.3},
    "stall_request": {}, "slow_request": {"rate": 4_000_000}, "flip_request": {}, "duplicate": {},
    "duplicate later": {"fault": "duplicate", "seconds": 0.3, "answer": "first"}, "delay_answer": {"seconds": 0.3},
    "answer_lost": {}, "answer closed": {"fault": "answer_lost", "how": "close"},
    "answer hangs": {"fault": "answer_lost", "how": "hang"}, "status_after": {}, "slow_down after": {
        "fault": "status_after", "status": 503, "code": "SlowDown"}, "error_in_200": {}, "wrong_etag": {},
    "truncated_xml": {}, "truncate": {}, "truncate with reset": {"fault": "truncate", "how": "reset"}, "stall": {},
    "slow": {"rate": 4_000_000}, "flip": {}, "junk": {}, "close_after": {}, "stale": {},
}
# Faults that only a timeout ends.
SLOW = ("hang", "stall_request", "answer hangs", "stall")


def harm(name, **more):
    """A rule for the proxy."""
    return {"fault": name} | HARMS[name] | more

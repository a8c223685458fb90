"""The faults that the proxy can inject into a request, and the rules that choose the requests.

A rule is a JSON object: "fault", its parameters, and the requests that it applies to:
    "operation"    one of OPERATIONS, "multipart" for all of an upload's, or a list of such names
    "method"       "PUT", or a list
    "path"         a regular expression that is searched in the target
    "skip"         let this many of the matching requests pass first
    "count"        then act on this many of them; without it, on all
    "probability"  0 to 1
The first rule that matches and is not used up decides.
"""

import re
from urllib.parse import parse_qs, urlsplit

OPERATIONS = {
    "put", "get", "head", "copy", "delete", "delete_many", "list", "multipart_create", "multipart_part", "multipart_copy",
    "multipart_complete", "multipart_abort", "multipart_list", "head_bucket", "make_bucket", "remove_bucket", "location",
    "buckets", "other",
}
# Each fault with its parameters and their defaults. None: see there, or no limit.
FAULTS = {
    # The request does not reach the server.
    "reset": {"after": None},                   # RST, at once or after this many bytes of the request's body.
    "hang": {"seconds": None},                  # Reads the whole request and sends no response; closes after `seconds`.
    "status": {"status": 500, "code": "InternalError", "headers": {}, "body": None, "early": False},
    "slow_down": {"early": False},              # 503 SlowDown. `early`: without reading the request's body.
    "internal_error": {"early": False},         # 500 InternalError.
    "html": {"early": False},                   # 503 with HTML of another proxy.
    "no_body": {"early": False},                # 500 and nothing else.
    "region_redirect": {"region": "eu-west-1", "early": True},   # 301 PermanentRedirect.
    "region_wrong": {"region": "eu-west-1", "early": True},      # 400 AuthorizationHeaderMalformed.
    "time_skewed": {"seconds": 3600},           # 403 RequestTimeTooSkewed by a server whose clock is ahead by this much.
    "expired_token": {"early": True},           # 400 ExpiredToken.
    # The server gets another request, or the same one differently.
    "delay": {"seconds": 1.0},                  # Before forwarding.
    "stall_request": {"after": None, "seconds": None},  # Stops reading after this many bytes (default: half), for `seconds`.
    "slow_request": {"rate": 100_000},          # Bytes per second.
    "flip_request": {"at": 0},                  # One bit of this byte of the body is wrong.
    "duplicate": {"seconds": 0.0, "answer": "second"},  # Delivered again, this long after the response to the first.
    # The server has carried out the request; the client gets another response.
    "delay_answer": {"seconds": 1.0},
    "answer_lost": {"how": "reset", "seconds": None},   # reset, close, or hang.
    "status_after": {"status": 500, "code": "InternalError", "headers": {}, "body": None},
    "error_in_200": {"code": "InternalError"},
    "wrong_etag": {"etag": "0" * 31 + "1"},     # In the header and in XML.
    "truncated_xml": {"after": None},           # A complete response whose XML ends after this many bytes (default: half).
    "truncate": {"after": None, "how": "close"},        # After this many bytes of the response's body (default: half).
    "stall": {"after": None, "seconds": None},  # At the same position, then silence.
    "slow": {"rate": 100_000},
    "flip": {"at": 0},
    "junk": {},                                 # Something that is not HTTP.
    "close_after": {},                          # A proper response, then FIN without having announced it.
    "stale": {},                                # A proper response; the next request on the connection gets RST.
}
# Faults that only replace the response by an error.
REFUSALS = {"status", "slow_down", "internal_error", "html", "no_body", "region_redirect", "region_wrong", "expired_token"}
_SELECTION = {"fault", "operation", "method", "path", "skip", "count", "probability"}


def operation(method, target, headers):
    """Which of OPERATIONS a path-style request is. `headers`: a function name -> value."""
    url = urlsplit(target)
    query = parse_qs(url.query, keep_blank_values=True)
    bucket, _, key = url.path.lstrip("/").partition("/")
    # Virtual-host style, as in bucket.localhost.
    host = headers("host").rpartition(":")[0] or headers("host")
    if host.endswith(".localhost"):
        bucket, key = host[:-len(".localhost")], url.path.lstrip("/")
    if not bucket:
        return "buckets" if method == "GET" else "other"
    if not key:
        if method == "GET":
            return "multipart_list" if "uploads" in query else "location" if "location" in query else "list"
        if method == "POST":
            return "delete_many" if "delete" in query else "other"
        return {"HEAD": "head_bucket", "PUT": "make_bucket", "DELETE": "remove_bucket"}.get(method, "other")
    upload = "uploadId" in query
    if method == "PUT":
        copied = bool(headers("x-amz-copy-source"))
        return ("multipart_copy" if copied else "multipart_part") if upload else "copy" if copied else "put"
    if method == "POST":
        return "multipart_complete" if upload else "multipart_create" if "uploads" in query else "other"
    if method == "GET":
        return "multipart_list" if upload else "get"
    if method == "DELETE":
        return "multipart_abort" if upload else "delete"
    return "head" if method == "HEAD" else "other"


def _names(value):
    return [value] if isinstance(value, str) else list(value)


class Rule:
    """One rule; ValueError if it is not one."""

    def __init__(self, given):
        fault = given.get("fault")
        if fault not in FAULTS:
            raise ValueError(f"no such fault: {fault}")
        unknown = set(given) - _SELECTION - set(FAULTS[fault])
        if unknown:
            raise ValueError(f"{fault} knows nothing of {', '.join(sorted(unknown))}")
        operations = set(_names(given.get("operation", [])))
        if "multipart" in operations:
            operations = operations - {"multipart"} | {o for o in OPERATIONS if o.startswith("multipart_")}
        if operations - OPERATIONS:
            raise ValueError(f"no such operation: {', '.join(sorted(operations - OPERATIONS))}")
        self.fault = fault
        self.options = FAULTS[fault] | {n: v for n, v in given.items() if n not in _SELECTION}
        self._operations = operations
        self._methods = _names(given.get("method", []))
        self._path = re.compile(given.get("path", ""))
        self._skip = int(given.get("skip", 0))
        self._left = given.get("count")
        self._probability = float(given.get("probability", 1))
        self.given = given
        self.fired = 0

    def takes(self, method, target, kind, random):
        """Whether the rule acts on this request; counts it if so."""
        if self._operations and kind not in self._operations or self._methods and method not in self._methods:
            return False
        if not self._path.search(target) or self._left is not None and self.fired >= self._left:
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._probability < 1 and random.random() >= self._probability:
            return False
        self.fired += 1
        return True


def refusal(fault, options, target, now):
    """(status, headers, body) of the error response of this fault. `now`: UTC, as a datetime."""
    resource = target.partition("?")[0]
    if fault == "html":
        return 503, {"Content-Type": "text/html"}, b"<html><head><title>503</title></head><body><h1>Service " \
            b"Unavailable</h1><hr>No server is available to handle this request.<br></body></html>\n"
    if fault == "no_body":
        return 500, {}, b""
    status, code, headers, extra = {
        "slow_down": (503, "SlowDown", {}, ""),
        "internal_error": (500, "InternalError", {}, ""),
        "expired_token": (400, "ExpiredToken", {}, ""),
        "time_skewed": (403, "RequestTimeTooSkewed", {},
                        f"<ServerTime>{now:%Y-%m-%dT%H:%M:%SZ}</ServerTime>"
                        "<MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>"),
        "region_redirect": (301, "PermanentRedirect", {"x-amz-bucket-region": options.get("region", "")}, ""),
        "region_wrong": (400, "AuthorizationHeaderMalformed", {}, f"<Region>{options.get('region', '')}</Region>"),
    }.get(fault) or (options.get("status", 200), options["code"], options.get("headers", {}), "")
    if options.get("body") is not None:
        body = options["body"].encode()
    else:
        body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>From the fault proxy.'
                f"</Message>{extra}<Resource>{resource}</Resource><RequestId>fault</RequestId></Error>").encode()
    return status, {"Content-Type": "application/xml"} | headers, body

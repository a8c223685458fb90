"""The table of scenarios, and how one ends early."""

import collections

SCENARIOS = collections.OrderedDict()


class Failure(Exception):
    """Something that makes a scenario's figures worthless; said to the user, the other scenarios go on."""


class Skip(Exception):
    """What a scenario, or a part of it, needs is not there, and it is not the daemon's fault."""


def scenario(name):
    def register(function):
        SCENARIOS[name] = function
        return function
    return register

"""What the Python suites share: where to ask, how to count, how a case is judged.

Never a stand-in for the SDK: every request of a suite goes through the real package.
"""

import asyncio
import inspect
import json
import os
import sys
import traceback
import urllib.request
import uuid

URL = os.environ["FGY_CLIENTS_URL"]
KEY = os.environ["FGY_CLIENTS_KEY"]
MOCK = os.environ["FGY_CLIENTS_MOCK"]
# Straight to the provider: everything but the cache is judged.
DIRECT = os.environ.get("FGY_CLIENTS_DIRECT") == "1"
PROVIDER = {"X-Provider-Auth": "Bearer test-provider-key"}


def fresh(text="name a river of the atlas", order=""):
    """A prompt never asked before, with an order to the provider inside."""
    return f"{text} {uuid.uuid4()}" + (f" [[mock {order}]]" if order else "")


def user(prompt):
    return [{"role": "user", "content": prompt}]


def totals():
    with urllib.request.urlopen(f"{MOCK}/__calls?last=0") as answer:
        return json.load(answer)["totals"]


def equal(left, right, what):
    if left != right:
        raise AssertionError(f"{what}: {left!r} is not {right!r}")


def outcome(headers, expected, what=""):
    """The X-Fgy-Cache of an answer; without fgy there must be none."""
    equal(headers.get("x-fgy-cache"), None if DIRECT else expected, f"x-fgy-cache {what}")


class Provider:
    """How often the provider was asked inside the block; exactly `calls` through fgy."""

    def __init__(self, calls, direct):
        self.expected = direct if DIRECT else calls

    def __enter__(self):
        self.before = totals()["calls"]

    def __exit__(self, kind, *_):
        if kind is None:
            equal(totals()["calls"] - self.before, self.expected, "calls upstream")


def same(first, second):
    """A repeat is the same answer from the cache, and another one without it."""
    if (first == second) == DIRECT:
        raise AssertionError(f"first {first!r}, then {second!r}")


def run(suite, cases):
    """Runs every case, prints a line each, returns the exit status."""
    failed = 0
    for case in cases:
        name = f"{suite}: {case.__name__.replace('_', ' ')}"
        try:
            if inspect.iscoroutinefunction(case):
                asyncio.run(case())
            else:
                case()
            print(f"ok    {name}", flush=True)
        except Exception:  # a failed case must not hide the next
            failed += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
    print(f"{suite}: {len(cases) - failed} of {len(cases)} passed", flush=True)
    return 1 if failed or not cases else 0


def main(suite, module):
    here = sys.modules[module]
    written = [each for each in vars(here).values() if inspect.isfunction(each)]
    own = [each for each in written if each.__module__ == module and each.__doc__]
    sys.exit(run(suite, own))

"""A closed-loop load generator in a process of its own: signed deliveries on many connections."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.traffic import traffic
from tests.support.builders import GitHubRequest

CONNECTIONS = 64
REQUESTS: Sequence[GitHubRequest] = list(traffic(3000))[::187]
"""Every 187th request of the simulated traffic: a few requests about many kinds of events."""
_WRK = "wrk"
# Each request has a unique delivery id, across runs too.
_SCRIPT = """
local heads, bodies = {{}}, {{}}
{requests}
local sent = 0
request = function()
  sent = sent + 1
  local one = sent % {many} + 1
  return heads[one] .. string.format("{run}-%012x", sent) .. "\\r\\n\\r\\n" .. bodies[one]
end
done = function(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  print(string.format("MEASURED %d %d %d %d %d", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
"""
_HEAD = """POST /webhooks/github HTTP/1.1
Host: 127.0.0.1
Accept: */*
User-Agent: GitHub-Hookshot/0123abc
Content-Type: application/json
Content-Length: {length}
X-GitHub-Event: {event}
X-GitHub-Hook-ID: 292430182
X-GitHub-Hook-Installation-Target-ID: 79929171
X-GitHub-Hook-Installation-Target-Type: organization
X-Hub-Signature-256: {signature}
X-GitHub-Delivery: """


@dataclass(frozen=True, slots=True)
class Load:
    """The result of one run of the load generator.

    Attributes:
        requests: the number of successful requests.
        rate: successful requests a second.
        half, most: the median and the 99th percentile of the latency, in milliseconds.
    """

    requests: int
    rate: float
    half: float
    most: float


def load(port: int, requests: Sequence[GitHubRequest], seconds: int, directory: Path) -> Load:
    """Post the requests again and again for some seconds, each time with a new delivery id.

    Raises:
        RuntimeError: wrk is missing, or a request failed.
    """
    if shutil.which(_WRK) is None:
        raise RuntimeError("wrk, which generates the load, is missing; install it: apt-get install wrk")
    script = directory / "load.lua"
    script.write_text(_script(requests))
    answered = subprocess.run(
        [_WRK, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    ).stdout
    _, _, measured = answered.rpartition("MEASURED")
    count, microseconds, failed, half, most = map(int, measured.split())
    if failed:
        raise RuntimeError(f"{failed} of {count} requests failed")
    return Load(count, count / microseconds * 1e6, half / 1e3, most / 1e3)


def _script(requests: Sequence[GitHubRequest]) -> str:
    return _SCRIPT.format(
        requests="\n".join(
            f"heads[{number}] = ([==[{_head(request)}]==]):gsub('\\n', '\\r\\n')\n"
            f"bodies[{number}] = [==[{request.body.decode()}]==]"
            for number, request in enumerate(requests, start=1)
        ),
        many=len(requests),
        run=os.urandom(8).hex(),
    )


def _head(request: GitHubRequest) -> str:
    signature = request.headers()["x-hub-signature-256"]
    return _HEAD.format(length=len(request.body), event=request.event, signature=signature)

"""A real nginx, from Debian's package `nginx-light`, in front of a service."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.prometheus import free_port
from tests.support.waiting import PATIENCE_SECONDS, wait_for

# Without a master process, nginx needs no user of its own.
_CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
  access_log {directory}/access.log;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  server {{
    listen 127.0.0.1:{port};
{locations}
  }}
}}
"""


@contextmanager
def nginx(directory: Path, locations: str) -> Iterator[str]:
    """Run nginx with these locations until the context ends, and yield its URL."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        reason = "nginx is not installed; it comes with Debian's package nginx-light"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    directory.mkdir()
    port = free_port()
    file = directory / "nginx.conf"
    file.write_text(_CONFIGURATION.format(directory=directory, port=port, locations=locations))
    process = subprocess.Popen([program, "-c", str(file), "-p", str(directory)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _listens(port, process))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True

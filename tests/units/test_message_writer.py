"""What reaches a reader of a process that is killed at any moment."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time

import pytest

WRITES = """
import random
from tap_zoho_campaigns_recipients.singer.message_writer import MessageWriter

writer, sizes = MessageWriter(), random.Random({seed})
while True:
    writer.write_record("stream", {{"text": "x" * sizes.randrange({longest})}})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere pipes promise less")
@pytest.mark.parametrize("longest", [100, 3_900])
@pytest.mark.parametrize("seed", range(4))
def test_killed_while_writing(seed: int, longest: int) -> None:
    """However fast it is read, a process that is killed leaves no half of a line."""
    randomly = random.Random(seed)
    code = WRITES.format(seed=seed, longest=longest)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        reader = process.stdout.fileno()
        parts = []
        for _ in range(randomly.randrange(20, 200)):
            select.select([reader], [], [], 20)
            parts.append(os.read(reader, randomly.choice([10, 5_000, 70_000])))
            time.sleep(randomly.choice([0, 0, 0.001]))
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        while part := os.read(reader, 70_000):
            parts.append(part)
    output = b"".join(parts)
    assert output.endswith(b"\n")
    assert all(json.loads(line)["type"] == "RECORD" for line in output.splitlines())

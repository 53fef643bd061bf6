"""A stand-in for S3: moto's server, in a process of its own.

It keeps objects in memory and believes everybody.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import typing as t
import urllib.request
from collections import defaultdict
from urllib.parse import quote
from xml.etree import ElementTree as ET

from support.warehouse import TIMEOUT_S, VENVS

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.warehouse import Record

BUCKET = "lake"

SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
"""

READ_PARQUET = """
import json, sys, pyarrow.parquet
for path in sys.stdin.read().splitlines():
    rows = pyarrow.parquet.read_table(path).to_pylist()
    print(json.dumps([path, rows], default=lambda time: time.isoformat()))
"""


class S3(t.NamedTuple):
    """Where the server is."""

    url: str

    @property
    def variables(self) -> dict[str, str]:
        """What leads the AWS libraries of a program here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def objects(self, prefix: str) -> dict[str, bytes]:
        """The objects whose names begin so, in the order in which they were written."""
        listed = ET.fromstring(self._get(f"?list-type=2&prefix={quote(prefix)}"))
        space = {"s3": listed.tag[1:].partition("}")[0]}
        entries = [
            (entry.findtext("s3:LastModified", "", space), entry.findtext("s3:Key", "", space))
            for entry in listed.findall("s3:Contents", space)
        ]
        return {name: self._get("/" + quote(name)) for _, name in sorted(entries)}

    def jsonl_rows(self, prefix: str) -> list[Record]:
        """The rows of gzipped files of JSON lines."""
        return [
            json.loads(line)
            for content in self.objects(prefix).values()
            for line in gzip.decompress(content).splitlines()
        ]

    def parquet_rows(self, prefix: str, folder: Path) -> dict[str, list[Record]]:
        """The rows of Parquet files by their streams, read with the loader's own library.

        Args:
            prefix: How the files' names begin, before the stream's.
            folder: Where to put copies of them.
        """
        paths = {}
        for number, (name, content) in enumerate(self.objects(prefix).items()):
            path = folder / f"{number:03}.parquet"
            path.write_bytes(content)
            paths[str(path)] = name.removeprefix(prefix).partition("/")[0]
        done = subprocess.run(
            [VENVS / "target-s3/bin/python", "-c", READ_PARQUET],
            input="\n".join(paths),
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT_S,
        )
        rows: dict[str, list[Record]] = defaultdict(list)
        for path, part in map(json.loads, done.stdout.splitlines()):
            rows[paths[path]] += part
        return rows

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}/{BUCKET}{path}", timeout=TIMEOUT_S) as response:
            return t.cast("bytes", response.read())


@contextlib.contextmanager
def serve_s3() -> Iterator[S3]:
    """Run a server that has one bucket."""
    with subprocess.Popen(
        [VENVS / "moto/bin/python", "-c", SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        host, port = server.stdout.readline().split()
        it = S3(f"http://{host}:{port}")
        bucket = urllib.request.Request(f"{it.url}/{BUCKET}", method="PUT")
        urllib.request.urlopen(bucket, timeout=TIMEOUT_S).close()
        yield it
        server.stdin.close()

"""The floor: ask, parse, write lines; `python -m benchmarks.peers.bare_loop order.json`.

Nothing is checked, normalised, retried, limited or remembered. No one should use it.
"""

from __future__ import annotations

import sys
import typing as t

import msgspec
import requests

from benchmarks.peers.order import LISTING_PAGE_ROWS, order_of_command_line

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.peers.order import Order


def pages(
    order: Order, session: requests.Session, endpoint: str, rows: str, parameters: dict[str, str]
) -> Iterator[list[dict[str, t.Any]]]:
    """Yield pages until one is not full."""
    size = int(parameters["range"])
    index = 1
    while True:
        answer = session.post(
            f"{order.url}/api/v1.1/{endpoint}",
            params={"resfmt": "JSON", "fromindex": str(index), **parameters},
        )
        page = msgspec.json.decode(answer.content).get(rows) or []
        yield page
        if len(page) < size:
            return
        index += size


def main() -> None:
    """Read everything."""
    order = order_of_command_line()
    encode = msgspec.json.encode
    with requests.Session() as session:
        session.headers["Authorization"] = order.authorization
        listing = {"status": "sent", "range": str(LISTING_PAGE_ROWS)}
        for campaigns in pages(order, session, "recentcampaigns", "recent_campaigns", listing):
            for key in [campaign["campaign_key"] for campaign in campaigns]:
                for action in order.actions:
                    one = {"campaignkey": key, "action": action, "range": str(order.page_size)}
                    stamp = {"campaign_key": key, "action": action}
                    name = "getcampaignrecipientsdata"
                    for page in pages(order, session, name, "list_of_details", one):
                        for row in page:
                            record = stamp | row
                            line = {"type": "RECORD", "stream": action, "record": record}
                            sys.stdout.buffer.write(encode(line) + b"\n")


if __name__ == "__main__":
    main()

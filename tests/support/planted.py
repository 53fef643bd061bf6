"""Accounts with values in every place that must be found in nothing that the probe writes.

python -m support.planted 1000    probe so many accounts
"""

from __future__ import annotations

import json
import logging
import random
import sys
import tempfile
from pathlib import Path

from click.testing import CliRunner

from sandbox import POSITIONS, Account, Sandbox, make_campaign
from support.seeds import Played, play_all
from support.tap_runs import settings
from tap_zoho_campaigns_recipients.probe import main as probe

WORD = "PLANTED"
PROFILE = ("companyname", "phone", "note", "city", "jobtitle", "website", "timezone")


class Planter:
    """Makes values that are recognised wherever they turn up."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def text(self) -> str:
        """Return a value, in one of several spellings."""
        number = self._rng.randrange(10**6)
        return self._rng.choice(
            (
                f"{WORD}{number}",
                f"{WORD.lower()}.{number}@{WORD.lower()}.example",
                f"Ünï {WORD.title()} {number} 小龍",
                f'{{{WORD}={number}, "{WORD}": [1]}}',
                f"https://{WORD.lower()}.example/{number}?x={WORD}",
            )
        )


def planted_account(seed: int) -> Account:
    """Return an account that has such a value in every place of every response."""
    rng = random.Random(seed)
    plant = Planter(rng)
    account = Account(profile_fields=PROFILE)
    for number in range(rng.randint(1, 4)):
        campaign = make_campaign(
            account,
            plant.text(),
            recipients=rng.choice((0, 3, 40)),
            days_ago=number + 1,
            type="abtesting" if rng.random() < 1 / 4 else "normal",
        )
        for each in (campaign, *(campaign.variants or ())):
            each.subject, each.from_email, each.reply_to = plant.text(), plant.text(), plant.text()
            each.preview = plant.text()
            each.mail.contacts("sentcontacts")
        if rng.random() < 1 / 8:
            campaign.refusal = ("6607", plant.text())
        if rng.random() < 1 / 8:
            campaign.details_error = ("6302", plant.text())
    make_campaign(account, plant.text(), status="Draft", days_ago=1)
    for contact in account.contacts:
        contact.first_name, contact.last_name = plant.text(), plant.text()
        if contact.email:
            contact.email = f"{WORD.lower()}{contact.id}@{WORD.lower()}.example"
        contact.profile = {name: plant.text() for name in PROFILE if rng.random() < 1 / 2}
        contact.custom = {plant.text(): plant.text()}
        contact.spelt.clear()
    return account


def leak(seed: int, folder: Path) -> str | None:
    """Probe an account; return where a value of it was written, if it was."""
    rng = random.Random(seed)
    account = planted_account(seed)
    log = folder / "log"
    handler = logging.FileHandler(log)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with Sandbox(account) as zoho:
            zoho.switches.token_limit = None
            for name in rng.sample(list(POSITIONS), rng.randint(0, 6)):
                zoho.switches.set(name, rng.choice(POSITIONS[name]))
            if rng.random() < 1 / 4:
                kind = rng.choice(("500", "html", "empty", "reset"))
                zoho.faults.add(kind, times=3, after=rng.randrange(20))
            config = folder / "config.json"
            config.write_text(json.dumps(settings(zoho, rate_limit_store="memory")))
            output = folder / "probe.json"
            arguments = ["--config", str(config), "--output", str(output), "--force"]
            result = CliRunner().invoke(probe, arguments)
            if result.exception and not isinstance(result.exception, SystemExit):
                return f"the probe broke: {result.exception!r}"
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
    places = {
        "the file": output.read_text(encoding="utf-8") if output.exists() else "",
        "the output": result.output,
        "the log": log.read_text(encoding="utf-8"),
    }
    keys = [*account.campaigns, *(contact.id for contact in account.contacts)]
    for place, text in places.items():
        if WORD.lower() in text.lower():
            return f"a planted value is in {place}"
        if any(key in text for key in keys):
            return f"a key is in {place}"
    return None


def play(seed: int) -> Played:
    """Probe one account, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return Played(seed, leak(seed, Path(folder)))


if __name__ == "__main__":
    sys.exit(play_all("planted", play))

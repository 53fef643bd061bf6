"""Every row of every list arrives exactly once, however the server cuts its pages."""

from __future__ import annotations

import math
import typing as t
from itertools import pairwise

import pytest

from sandbox import Contact, Sandbox, make_account, make_campaign
from support.tap_runs import (
    RECIPIENT_ACTIONS,
    RECIPIENTS,
    REPORT,
    FakeClock,
    legacy,
    run_tap,
    settings,
)
from support.truth import assert_all_arrived, expected_list, in_order
from tap_zoho_campaigns_recipients.zoho.errors import RunFailed

if t.TYPE_CHECKING:
    from sandbox import Account, Campaign, Logged
    from support.tap_runs import Outcome

SIZES = (0, 1, 199, 200, 201, 499, 500, 501, 1_000, 1_037)
"""Sizes of lists around all that may go wrong."""


@pytest.fixture
def clock() -> FakeClock:
    """Tells the time to both the tap and the sandbox."""
    return FakeClock()


def nine_lists(account: Account, size: int) -> Campaign:
    """Add a campaign with eight lists of this size; four times as many were sent."""
    return make_campaign(
        account,
        recipients=4 * size,
        opened=size,
        clicked=size,
        optout=size,
        spam=size,
        hard=size,
        soft=size,
        unsent=size,
    )


def several(clock: FakeClock) -> Account:
    """An account with lists of all sizes, the nine of them overlapping as they do."""
    account = make_account(0, now=clock.now)
    account.now = lambda: clock.now
    make_campaign(
        account,
        recipients=1_938,
        opened=500,
        clicked=499,
        optout=1_037,
        hard=201,
        soft=200,
        unsent=199,
    )
    make_campaign(account, recipients=1_000, opened=0, clicked=501, optout=1, hard=0, soft=0)
    make_campaign(account, recipients=1, opened=1, clicked=1, spam=1, unsent=0)
    make_campaign(account, recipients=40, type="abtesting", spread_s=90)
    make_campaign(account, recipients=0, unsent=200)
    return account


def one_list(clock: FakeClock, size: int, **switches: t.Any) -> Sandbox:
    """A campaign that was sent to so many people, and nothing else happened."""
    nothing = dict.fromkeys(("opened", "clicked", "optout", "spam", "hard", "soft", "unsent"), 0)
    account = make_account(1, size, now=clock.now, **nothing)
    zoho = Sandbox(account, clock=clock)
    for name, value in switches.items():
        zoho.switches.set(name, value)
    return zoho


def only_key(zoho: Sandbox) -> str:
    (key,) = zoho.account.campaigns
    return key


def list_requests(zoho: Sandbox) -> list[Logged]:
    return [each for each in zoho.requests if each.endpoint == RECIPIENTS]


def assert_list_arrived(zoho: Sandbox, outcome: Outcome, clock: FakeClock) -> None:
    """See the one list of sent contacts, each row once and in the server's order."""
    expected = expected_list(zoho, "sent_contacts", only_key(zoho), read_at=clock.now)
    assert outcome.records["sent_contacts"] == expected


@pytest.mark.parametrize("reports", ["ok", "missing"])
@pytest.mark.parametrize("past_end", ["6303", "empty"])
@pytest.mark.parametrize("response_format", ["json", "xml"])
def test_all_lists_arrive_from_a_capped_server(
    clock: FakeClock, response_format: str, past_end: str, reports: str
) -> None:
    """Every row of all nine lists arrives once where 500 rows are asked, echoed, and 200 served."""
    with Sandbox(several(clock), clock=clock) as zoho:
        zoho.switches.range_cap = 200
        zoho.switches.set("past_end", past_end)
        zoho.switches.set("reports", reports)
        config = settings(
            zoho,
            retry_wait=0,
            response_format=response_format,
            account_timezone="America/New_York",
            page_size=500,
        )
        outcome = run_tap(config, clock=clock.fresh())
        assert outcome.error is None
        assert_all_arrived(
            zoho,
            outcome,
            read_at=clock.now,
            response_format=response_format,
            account_timezone="America/New_York",
        )
        assert {each.range for each in list_requests(zoho)} == {500}


def test_all_lists_arrive_from_the_legacy_api(clock: FakeClock) -> None:
    """The legacy API, whose rows have other names, gives the same records."""
    with Sandbox(several(clock), clock=clock) as zoho:
        zoho.switches.range_cap = 200
        outcome = run_tap(legacy(zoho), clock=clock.fresh())
        assert outcome.error is None
        assert_all_arrived(zoho, outcome, read_at=clock.now)


def test_lists_of_every_size(clock: FakeClock) -> None:
    """Each of the nine lists arrives whole, whatever its size."""
    account = make_account(0, now=clock.now)
    account.now = lambda: clock.now
    for size in SIZES:
        nine_lists(account, size)
    with Sandbox(account, clock=clock) as zoho:
        zoho.switches.range_cap = 200
        outcome = run_tap(settings(zoho), clock=clock.fresh())
        assert outcome.error is None
        assert_all_arrived(zoho, outcome, read_at=clock.now)
        for stream in RECIPIENT_ACTIONS:
            rows = len(outcome.records[stream])
            assert rows == sum(SIZES) * (4 if stream == "sent_contacts" else 1), stream


def calls_needed(size: int, page: int) -> int:
    """Pages up to the first short one, each after the first beginning at the last row received."""
    if size < page:
        return 1
    return 2 + (size - page) // (page - 1)


@pytest.mark.parametrize(
    ("size", "page_size"),
    [
        (size, page_size)
        for page_size in (2, 20, 200, 500, 1_000)
        for size in SIZES
        # A thousand calls prove no more than two hundred.
        if page_size > 2 or size <= 201
    ],
)
def test_number_of_calls(clock: FakeClock, size: int, page_size: int) -> None:
    """A list ends with its first page that is shorter than asked, the report confirming it."""
    with one_list(clock, size) as zoho:
        outcome = run_tap(
            settings(zoho, page_size=page_size), streams=["sent_contacts"], clock=clock.fresh()
        )
        assert outcome.error is None
        assert_list_arrived(zoho, outcome, clock)
        assert zoho.calls(RECIPIENTS) == calls_needed(size, page_size)
        assert zoho.calls(REPORT) == 1


@pytest.mark.parametrize(
    ("response_format", "past_end"),
    [
        *(("json", habit) for habit in ("6303", "empty", "null", "absent", "2502")),
        *(("xml", habit) for habit in ("6303", "empty")),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_without_reports_a_short_page_is_no_end(
    clock: FakeClock, size: int, past_end: str, response_format: str
) -> None:
    """Without a report only a page with the shared row alone ends a list.

    Or a page shorter than this server has given before.
    """
    with one_list(clock, size, reports="missing", past_end=past_end, range_cap=200) as zoho:
        config = settings(zoho, response_format=response_format, retry_wait=0)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock.fresh())
        assert outcome.error is None
        expected = expected_list(
            zoho,
            "sent_contacts",
            only_key(zoho),
            read_at=clock.now,
            response_format=response_format,
        )
        assert outcome.records["sent_contacts"] == expected
        is_first_page_all = 0 < size < 200
        assert zoho.calls(RECIPIENTS) == calls_needed(size, 200) + is_first_page_all


@pytest.mark.parametrize("parallel", [1, 4, 16])
@pytest.mark.parametrize(("page_size", "size"), [(1, 7), (2, 7), (500, 1_037), (200, 399)])
def test_pages_share_a_row(clock: FakeClock, page_size: int, size: int, parallel: int) -> None:
    """A request after the first begins at the last row received."""
    with one_list(clock, size) as zoho:
        zoho.account.campaigns[only_key(zoho)].spread_s = 90
        config = settings(zoho, page_size=page_size, max_parallel_requests=parallel)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock.fresh())
        assert_list_arrived(zoho, outcome, clock)
        page = max(page_size, 2)
        pages = sorted((each.fromindex or 0, each.rows) for each in list_requests(zoho))
        assert [index for index, _ in pages] == list(range(1, size + 1, page - 1))
        for (index, rows), (following, _) in pairwise(pages):
            assert following == index + rows - 1


def test_page_size_1_leaves_room_for_the_shared_row(clock: FakeClock) -> None:
    """With `page_size` 1 two rows are asked for: the shared one and one more."""
    with one_list(clock, 3) as zoho:
        outcome = run_tap(settings(zoho, page_size=1), streams=["sent_contacts"], clock=clock)
        assert_list_arrived(zoho, outcome, clock)
        assert {each.range for each in list_requests(zoho)} == {2}


@pytest.mark.parametrize("cap", [2, 3, 199])
def test_a_cap_costs_calls_and_no_rows(clock: FakeClock, cap: int) -> None:
    """A server that caps `range` is asked from the last row received, not after those asked for.

    All its pages are shorter than asked, so the report's count is the end.
    """
    with one_list(clock, 400, range_cap=cap) as zoho:
        outcome = run_tap(settings(zoho), streams=["sent_contacts"], clock=clock.fresh())
        assert outcome.error is None
        assert_list_arrived(zoho, outcome, clock)
        assert zoho.calls(RECIPIENTS) == math.ceil(399 / (cap - 1))


@pytest.mark.parametrize("reports", ["ok", "missing"])
@pytest.mark.parametrize("response_format", ["json", "xml"])
def test_server_that_repeats_its_page(clock: FakeClock, response_format: str, reports: str) -> None:
    """A server that ignores `fromindex` ends the run with an error within a few calls."""
    with one_list(clock, 1_037, ignores_fromindex=True, reports=reports) as zoho:
        config = settings(zoho, response_format=response_format, retry_wait=0, page_size=500)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock.fresh())
        expected = expected_list(
            zoho,
            "sent_contacts",
            only_key(zoho),
            read_at=clock.now,
            response_format=response_format,
        )
        assert outcome.records["sent_contacts"] == expected[:500]
        assert isinstance(outcome.error, RunFailed)
        assert str(outcome.error) == (
            f"Zoho answers getcampaignrecipientsdata (campaign {only_key(zoho)}, action "
            "sentcontacts) with the same page whatever fromindex says: the list cannot be read"
        )
        assert zoho.calls(RECIPIENTS) <= 5
        assert "partitions" not in outcome.state["bookmarks"].get("sent_contacts", {})


@pytest.mark.parametrize("size", [1, 499])
def test_server_that_repeats_its_only_page(clock: FakeClock, size: int) -> None:
    """Where one page holds the whole list, and the report says so, nothing is wrong with it."""
    with one_list(clock, size, ignores_fromindex=True) as zoho:
        outcome = run_tap(settings(zoho), streams=["sent_contacts"], clock=clock.fresh())
        assert outcome.error is None
        assert_list_arrived(zoho, outcome, clock)


@pytest.mark.parametrize("response_format", ["json", "xml"])
def test_range_that_is_too_large(clock: FakeClock, response_format: str) -> None:
    """Where Zoho says that the range is too large (6502) it is halved, once for all lists."""
    account = several(clock)
    with Sandbox(account, clock=clock) as zoho:
        zoho.switches.range_error_above = 130
        config = settings(
            zoho,
            response_format=response_format,
            account_timezone="America/New_York",
            max_parallel_requests=1,
            page_size=500,
        )
        outcome = run_tap(config, clock=clock.fresh())
        assert outcome.error is None
        assert_all_arrived(
            zoho,
            outcome,
            read_at=clock.now,
            response_format=response_format,
            account_timezone="America/New_York",
        )
        ranges = [each.range for each in list_requests(zoho)]
        assert ranges[:2] == [500, 250]
        assert set(ranges[2:]) == {125}
        assert sum("range 500" in each for each in outcome.warnings) == 1


def test_range_that_is_always_too_large(clock: FakeClock) -> None:
    """Where even the smallest range is refused, the campaign is left out and the run fails."""
    with one_list(clock, 20, range_error_above=1) as zoho:
        outcome = run_tap(settings(zoho), streams=["sent_contacts"], clock=clock.fresh())
        assert outcome.records["sent_contacts"] == []
        assert isinstance(outcome.error, RunFailed)
        assert "6502" in str(outcome.error)
        assert only_key(zoho) in str(outcome.error)
        ranges = [each.range for each in list_requests(zoho)]
        assert ranges == [1000, 500, 250, 125, 62, 31, 15, 7, 3, 2]


def twins(zoho: Sandbox, size: int, every: int) -> int:
    """Count the rows more than people that the server shows."""
    mail = zoho.account.campaigns[only_key(zoho)].mail
    return len(mail.view("sentcontacts", duplicates_every=every)) - size


@pytest.mark.parametrize("page_size", [500, 20])
@pytest.mark.parametrize("reports", ["ok", "missing"])
def test_duplicates(clock: FakeClock, reports: str, page_size: int) -> None:
    """When an address comes twice in a list, the first row stands and the others are counted."""
    with one_list(clock, 201, duplicates_every=10, reports=reports) as zoho:
        config = settings(zoho, page_size=page_size, retry_wait=0)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock.fresh())
        assert outcome.error is None
        assert_list_arrived(zoho, outcome, clock)
        count = twins(zoho, 201, 10)
        assert count > 0
        assert (
            f"sent_contacts of campaign {only_key(zoho)}: {count} rows repeat an address of the "
            "list and were left out"
        ) in outcome.warnings


def test_addresses_that_differ_in_case_only(clock: FakeClock) -> None:
    """Addresses are lower case, so two that differ in case are one, and the first row stands."""
    with one_list(clock, 3) as zoho:
        mail = zoho.account.campaigns[only_key(zoho)].mail
        first, second, third = mail.recipients
        first.email, second.email, third.email = "Ann@X.example", "ann@x.example", "bob@x.example"
        outcome = run_tap(settings(zoho), streams=["sent_contacts"], clock=clock.fresh())
        ids = [
            (record["contact_email"], record["contact_id"])
            for record in outcome.records["sent_contacts"]
        ]
        assert ids == [("ann@x.example", first.id), ("bob@x.example", third.id)]
        assert (
            f"sent_contacts of campaign {only_key(zoho)}: 1 rows repeat an address of the list "
            "and were left out"
        ) in outcome.warnings


@pytest.mark.parametrize("empties", ["null_text", "empty", "absent", "null"])
def test_forgotten_contacts(clock: FakeClock, empties: str) -> None:
    """A contact without an address is kept under `<contact_id>@no-address.invalid`."""
    with one_list(clock, 30, empties=empties) as zoho:
        contacts = zoho.account.campaigns[only_key(zoho)].mail.recipients
        for contact in (contacts[0], contacts[17], contacts[29]):
            zoho.account.forget(contact)
        outcome = run_tap(
            settings(zoho, page_size=10), streams=["sent_contacts"], clock=clock.fresh()
        )
        assert outcome.error is None
        assert_list_arrived(zoho, outcome, clock)
        forgotten = [each for each in outcome.records["sent_contacts"] if each["is_forgotten"]]
        assert [each["contact_email"] for each in forgotten] == [
            "303000000000000@no-address.invalid",
            "303000000000017@no-address.invalid",
            "303000000000029@no-address.invalid",
        ]
        assert {each["first_name"] for each in forgotten} == {None}
        assert not outcome.warnings


@pytest.mark.parametrize("reports", ["ok", "missing"])
@pytest.mark.parametrize("page_size", [10, 500])
@pytest.mark.parametrize(
    "places",
    [(0, 9, 12, 29), (0, 9, 10, 29), (8, 9, 10, 11), (9, 18, 27, 28), tuple(range(30))],
    ids=str,
)
def test_rows_that_cannot_be_keyed(
    clock: FakeClock, places: tuple[int, ...], page_size: int, reports: str
) -> None:
    """A row with neither address nor id is counted, warned about and left out.

    XML rows have no id, so there it is the forgotten contacts, and those look all alike.
    """
    with one_list(clock, 30, reports=reports) as zoho:
        contacts = zoho.account.campaigns[only_key(zoho)].mail.recipients
        for place in places:
            zoho.account.forget(contacts[place])
        config = settings(zoho, response_format="xml", page_size=page_size, retry_wait=0)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock.fresh())
        assert outcome.error is None
        expected = expected_list(
            zoho, "sent_contacts", only_key(zoho), read_at=clock.now, response_format="xml"
        )
        assert len(expected) == 30 - len(places)
        assert outcome.records["sent_contacts"] == expected
        said = (
            f"sent_contacts of campaign {only_key(zoho)}: {len(places)} rows have neither an "
            "address nor a contact ID and were left out"
        )
        assert [each for each in outcome.warnings if "report" not in each] == [said]


def test_rows_of_people_who_share_everything_but_the_address(clock: FakeClock) -> None:
    """Rows are told apart by address and id, not by what else they say."""
    with one_list(clock, 4) as zoho:
        mail = zoho.account.campaigns[only_key(zoho)].mail
        mail.recipients[:] = [
            Contact(id=str(number), email=f"{number}@x.example", first_name="Ann")
            for number in range(4)
        ]
        mail.touch()
        outcome = run_tap(settings(zoho, page_size=2), streams=["sent_contacts"], clock=clock)
        assert_list_arrived(zoho, outcome, clock)


def test_no_report_costs_two_tries(clock: FakeClock) -> None:
    """A report that does not come is asked for twice, warned about once, and the list is read."""
    with one_list(clock, 30, reports="missing") as zoho:
        config = settings(zoho, retry_wait=0)
        outcome = run_tap(config, streams=["sent_contacts"], clock=clock.fresh())
        assert_list_arrived(zoho, outcome, clock)
        assert zoho.calls(REPORT) == 2
        assert sum("No report" in each for each in outcome.warnings) == 1


def test_rows_and_count_that_differ(clock: FakeClock) -> None:
    """A report that does not agree with the list takes no row away; it is said."""
    with one_list(clock, 30, reports="wrong") as zoho:
        outcome = run_tap(settings(zoho), streams=["sent_contacts"], clock=clock.fresh())
        assert outcome.error is None
        assert_list_arrived(zoho, outcome, clock)
        assert (
            f"sent_contacts of campaign {only_key(zoho)}: 30 rows were read, the report says 33"
        ) in outcome.warnings


def test_order_of_records_is_zohos(clock: FakeClock) -> None:
    """Records of a list come in the order in which Zoho has the rows."""
    with one_list(clock, 120, order="reverse") as zoho:
        outcome = run_tap(
            settings(zoho, page_size=7), streams=["sent_contacts"], clock=clock.fresh()
        )
        expected = expected_list(zoho, "sent_contacts", only_key(zoho), read_at=clock.now)
        assert outcome.records["sent_contacts"] == expected[::-1]
        assert in_order(outcome.records["sent_contacts"]) == in_order(expected)

"""Decoding reads the needed fields of a payload, and times in every form that providers use."""

import gzip
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.decoding import (
    AnyObject,
    Number,
    decode,
    from_milliseconds,
    from_unix,
    is_commit,
    read_time,
    require_utf8,
    traits,
    utc,
)
from service.deliveries.delivery import UnreadableDelivery
from tests.support.builders import at

WHERE = "$.object_attributes.created_at"


class Inner(msgspec.Struct):
    name: str
    when: datetime | None = None


class Outer(msgspec.Struct):
    number: Number
    inner: Inner | None = None
    several: list[Inner] | None = None


@pytest.mark.parametrize(
    "payload",
    [
        b'{"number": 7}',
        b'{"number": 7, "inner": null, "several": null}',
        b'{"number": 7, "unknown": {"deeply": [{"nested": 1e400}]}, "another": null}',
        b' {"number": 1, "number": 7} ',
    ],
)
def test_only_the_needed_fields_are_read(payload: bytes) -> None:
    assert decode(payload, Outer) == Outer(7)


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"{}", "missing required field `number`"),
        (b'{"number": null}', r"expected a whole number, got null - at `\$\.number`"),
        (b'{"number": "#7"}', r"expected a whole number, got text - at `\$\.number`"),
        (b'{"number": {}}', r"expected a whole number, got an object - at `\$\.number`"),
        (b'{"number": 7.5}', r"`\$\.number`"),
        (b'{"number": true}', r"`\$\.number`"),
        (b'{"number": -1}', r"`\$\.number`"),
        (b'{"number": 1000000000000000000}', r"`\$\.number`"),
        (b'{"number": ' + b"9" * 5000 + b"}", r"`\$\.number`"),
        (b'{"number": 7, "inner": {"name": "a", "when": "yesterday"}}', r"at `\$\.inner\.when`"),
        (b"[]", "expected an object, got a list"),
        (b"null", "expected an object, got null"),
        (b"7", "expected an object, got a whole number"),
    ],
)
def test_a_missing_or_malformed_field_is_named_with_its_path(payload: bytes, complaint: str) -> None:
    with pytest.raises(UnreadableDelivery, match=f"^a field is missing or malformed: .*{complaint}"):
        decode(payload, Outer)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"{",
        b'{"number": 7',
        b'{"number": 7}}',
        b"{'number': 7}",
        b'{"number": NaN}',
        b'{"number": 07}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"number": 7, "inner": {"name": "\\ud800"}}',
        b'{"number": 7, "inner": {"name": "\xff"}}',
        b"payload=%7B%7D",
        b'{"unknown": ' * 100_000,
        b'{"unknown": ' * 100_000 + b"1" + b"}" * 100_000,
        b'{"unknown": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(16),
)
def test_a_payload_that_is_not_json_is_unreadable(payload: bytes) -> None:
    with pytest.raises(UnreadableDelivery, match=r"^the body is not JSON: |its values are nested too deeply$"):
        decode(payload, Outer)


def test_a_body_in_utf_8_is_accepted_unchanged() -> None:
    assert require_utf8('{"a": "Büro"}'.encode()) == '{"a": "Büro"}'.encode()
    assert require_utf8(b"") == b""


@pytest.mark.parametrize(("body", "place"), [(b"\xff", 0), (b'{"a": \xff}', 6), (b"{}\xc3", 2), (b"\xed\xa0\x80", 0)])
def test_a_body_that_is_not_utf_8_is_unreadable_and_the_error_names_the_position(body: bytes, place: int) -> None:
    with pytest.raises(UnreadableDelivery, match=f"^the body is not UTF-8: byte {place} cannot be decoded$"):
        require_utf8(body)


def test_any_object_is_accepted_whatever_its_fields() -> None:
    assert isinstance(decode(b'{"a": [1, {"b": null}]}', AnyObject), AnyObject)
    with pytest.raises(UnreadableDelivery, match="expected an object"):
        decode(b'"a"', AnyObject)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T09:00:00Z",
        "2026-03-01T09:00:00+00:00",
        "2026-03-01T10:30:00+01:30",
        "2026-03-01T04:00:00-05:00",
        "2026-03-01T09:00:00.000+0000",
        "2026-03-01T10:30:00.000+0130",
        "2026-03-01T04:00:00-0500",
        "2026-03-01 09:00:00 UTC",
        "2026-03-01 09:00:00UTC",
        "2026-03-01 10:00:00 +0100",
        "2026-03-01T09:00:00",
        "2026-03-01 09:00",
        "2026-02-28T23:00:00-1000",
        "20260301T090000Z",
        "20260301T090000",
        "20260301T0900Z",
        "20260301T100000+0100",
        "20260301T100000+01:00",
        "20260301 090000.000 UTC",
        "20260301T090000,000Z",
    ],
)
def test_a_time_is_read_in_every_form_that_providers_use_and_converted_to_utc(text: str) -> None:
    read = read_time(text, WHERE)
    assert read == at(1)
    assert read.tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-03-01T09:00:00.123456Z", "2026-03-01 09:00:00.123456 UTC"])
def test_the_fraction_of_a_second_is_kept(text: str) -> None:
    assert read_time(text, WHERE) == at(1, "09:00:00.123456")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Z",
        "UTC",
        "+0000",
        "yesterday",
        "20260301",
        "20260301Z",
        "20260301T",
        "20260301T09Z",
        "202603010900",
        "20260301090000Z",
        "20261301T090000Z",
        "20260301T250000Z",
        "2026060T090000Z",
        "2026-13-01T09:00:00Z",
        "2026-02-30T09:00:00Z",
        "2026-03-01T25:00:00Z",
        "2026-03-01T09:61:00Z",
        "2026-03-01T09:00:00ZZ",
        "2026-03-01T09:00:00Z+00:00",
        "2026-03-01T09:00:00+00:00 UTC",
        "2026-03-01T09:00:00 CET",
        "2026-03-01T09:00:00 utc",
        "2026-03-01T09:00:00+24:00",
        "2026-03-01T09:00:00+1",
        "٢٠٢٦-03-01T09:00:00Z",
        "2026-03-01T09:00:٣٣Z",
        "\ud800",
        "\0",
        "10000-01-01T00:00:00Z",
        "9" * 60_000,
        "2026-03-01T09:00:00" + " " * 60_000 + "UTC",
        "2026-03-01T09:00:00" + "0" * 60_000,
    ],
    ids=range(34),
)
def test_a_malformed_time_is_unreadable_and_its_path_is_named(text: str) -> None:
    with pytest.raises(UnreadableDelivery, match=r"expected a time - at `\$\.object_attributes\.created_at`$"):
        read_time(text, WHERE)


def test_the_error_for_a_malformed_time_stays_short() -> None:
    with pytest.raises(UnreadableDelivery) as unreadable:
        read_time("x" * 100_000, WHERE)
    assert len(str(unreadable.value)) < 200


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-2359"])
def test_a_time_beyond_the_calendar_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableDelivery, match="out of range"):
        read_time(text, WHERE)
    with pytest.raises(UnreadableDelivery, match="out of range"):
        utc(datetime.fromisoformat(text))


def test_a_time_without_an_offset_is_read_as_utc() -> None:
    assert utc(at(1).replace(tzinfo=None)) == at(1)
    assert utc(at(1)) == at(1)


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1772355600000, at(1)),
        (1772355600123, at(1, "09:00:00.123")),
        (-1000, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (253402300799000, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_time_in_milliseconds_counts_from_1970(stamp: int, expected: datetime) -> None:
    assert from_milliseconds(stamp, WHERE) == expected
    assert from_milliseconds(stamp, WHERE).tzinfo is UTC


@pytest.mark.parametrize("stamp", [1772355600, 1772355600000])
def test_a_number_of_seconds_or_milliseconds_is_read_whether_it_is_a_number_or_a_text(stamp: int) -> None:
    assert from_unix(stamp, WHERE) == at(1)
    assert read_time(str(stamp), WHERE) == at(1)


def test_a_small_number_is_a_number_of_milliseconds() -> None:
    assert from_unix(7, WHERE) == from_milliseconds(7, WHERE)


NO_STAMPS = {
    "the year 10000": 253402300800000,
    "in nanoseconds": 1772355600000000000,
    "before the calendar": -(10**15),
    "more than a float holds exactly": 10**300,
    "more than a float holds": 10**400,
    "longer than Python writes": 10**5000,
    "less than a float holds": -(10**400),
}


@pytest.mark.parametrize("stamp", NO_STAMPS.values(), ids=NO_STAMPS.keys())
def test_a_number_out_of_range_is_unreadable_and_its_path_is_named(stamp: int) -> None:
    with pytest.raises(UnreadableDelivery, match=r"out of range for a time - at `\$\.object_attributes\.created_at`$"):
        from_milliseconds(stamp, WHERE)


@pytest.mark.parametrize(
    ("sha", "expected"),
    [
        ("a" * 40, True),
        ("A" * 40, True),
        ("0123456789abcdefABCDEF0123456789abcdef01", True),
        ("a" * 64, True),
        ("0" * 39 + "1", True),
        ("0" * 40, False),
        ("0" * 64, False),
        ("a" * 39, False),
        ("a" * 41, False),
        ("a" * 52, False),
        ("a" * 65, False),
        ("a" * 7, False),
        ("g" * 40, False),
        ("a" * 40 + "\n", False),
        (" " + "a" * 39, False),
        ("٤" * 40, False),
        ("HEAD", False),
        ("", False),
        (None, False),
        ("a" * 100_000, False),
    ],
)
def test_a_commit_is_named_by_its_full_hash(sha: str | None, *, expected: bool) -> None:
    assert is_commit(sha) is expected


def test_empty_traits_are_omitted() -> None:
    assert traits({"project": "acme/app", "branch": "", "workflow": None}) == {"project": ("acme/app",)}
    assert traits({}) == {}


def in_utc_or_unreadable(text: str) -> bool:
    """Whether `read_time` returns a time in UTC, or reports the text as unreadable.

    Any error except `UnreadableDelivery` fails the test.
    """
    try:
        return read_time(text, WHERE).utcoffset() == timedelta(0)
    except UnreadableDelivery as error:
        return WHERE in str(error) or "out of range" in str(error)


@given(st.text() | st.text(alphabet="0123456789-:T +.ZUTC", max_size=40))
def test_any_text_is_read_as_a_time_in_utc_or_reported_as_unreadable(text: str) -> None:
    assert in_utc_or_unreadable(text)


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda when: when.year >= 1000))
def test_a_time_written_as_iso_8601_or_as_gitlab_or_jira_write_it_is_read_back(when: datetime) -> None:
    assert read_time(when.isoformat(), WHERE) == when
    assert read_time(when.strftime("%Y-%m-%d %H:%M:%S UTC"), WHERE) == when.replace(microsecond=0)
    assert read_time(when.strftime("%Y-%m-%dT%H:%M:%S.000+0000"), WHERE) == when.replace(microsecond=0)
    assert read_time(when.strftime("%Y%m%dT%H%M%S.%fZ"), WHERE) == when


def read_or_unreadable(payload: bytes) -> bool:
    """Whether `decode` returns an `Outer`, or reports the payload as unreadable.

    Any error except `UnreadableDelivery` fails the test.
    """
    try:
        return isinstance(decode(payload, Outer), Outer)
    except UnreadableDelivery as error:
        return bool(str(error))


@given(st.binary() | st.text(alphabet='{}[]":,number17 ', max_size=40).map(str.encode))
def test_any_bytes_are_decoded_or_reported_as_unreadable(payload: bytes) -> None:
    assert read_or_unreadable(payload)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON: it is empty"),
        (gzip.compress(b"{}"), "the body is not JSON: it is compressed with gzip; let the tool send it uncompressed"),
        (b"\xef\xbb\xbf{}", "the body is not JSON: it begins with a byte order mark; send UTF-8 without this mark"),
        (
            b"payload=%7B%7D",
            "the body is not JSON: it is a form; set the content type of the webhook to application/json",
        ),
        (b'{"a":' * 100_000, "the body cannot be read: its values are nested too deeply"),
        (
            b"[{}, {}]",
            (
                "a field is missing or malformed: expected an object, got a list; "
                "the body is a batch, and a request to this source has one event"
            ),
        ),
    ],
    ids=["empty", "gzip", "byte order mark", "form", "deep", "batch"],
)
def test_the_reason_says_what_the_body_is_instead_of_a_json_document(body: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDelivery) as unreadable:
        decode(body, dict[str, object])
    assert str(unreadable.value) == reason
    if not body.startswith(b"\x1f"):
        return
    with pytest.raises(UnreadableDelivery) as refused:
        require_utf8(body)
    assert str(refused.value) == reason

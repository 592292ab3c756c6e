"""The checks of signatures accept the published examples, and refuse every proof made without the secret."""

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.delivery import Delivery, content_id
from service.deliveries.signatures import (
    SignatureRefused,
    check_basic,
    check_hmac,
    check_standard_webhooks,
    check_time,
    check_token,
    is_signing_key,
)
from tests.support.builders import SECRET, at

SECRETS = [SECRET.encode()]
LONG = 60_000

GITHUB_BODY = b"Hello, World!"
GITHUB_DIGEST = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""The example in GitHub's "Validating webhook deliveries", which is signed with the secret on the same page."""

JIRA_BODY = b"Hello World!"
JIRA_DIGEST = "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
"""The example in Atlassian's "Webhooks", which is signed with the same secret as GitHub's example."""

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
STAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
"""The example in the tests of the Standard Webhooks reference libraries."""

OTHER_KEY = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OTHER_HEADERS = {
    "webhook-id": "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
    "webhook-timestamp": "1649367553",
    "webhook-signature": "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
}
OTHER_BODY = b'{"email":"test@example.com","username":"test_user"}'
"""The example in Svix's "Verifying webhooks manually". Standard Webhooks is based on the scheme of Svix."""


def signed_at(stamp: int = STAMP) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)


def standard(**given: str) -> dict[str, str]:
    """The headers of the published example, updated with the keywords. Underscores in keywords become hyphens."""
    headers = {"webhook-id": MESSAGE, "webhook-timestamp": str(STAMP), "webhook-signature": SIGNATURE}
    return headers | {name.replace("_", "-"): value for name, value in given.items()}


def basic(credentials: str | bytes) -> dict[str, str]:
    raw = credentials if isinstance(credentials, bytes) else credentials.encode()
    return {"authorization": "Basic " + base64.b64encode(raw).decode()}


def cut(value: object) -> str:
    """Shorten a parameter to a test id."""
    return ascii(value)[:40]


def is_accepted(check: Callable[[], None]) -> bool:
    """Whether a check accepts the proof. A refusal without a reason counts as accepted, so the test fails."""
    try:
        check()
    except SignatureRefused as refused:
        return not str(refused)
    return True


@pytest.mark.parametrize(("digest", "body"), [(GITHUB_DIGEST, GITHUB_BODY), (JIRA_DIGEST, JIRA_BODY)])
def test_the_hmacs_that_github_and_atlassian_publish_are_accepted(digest: str, body: bytes) -> None:
    check_hmac(digest, body, SECRETS)
    check_hmac(digest.upper(), body, [b"the new secret", *SECRETS])


@pytest.mark.parametrize("method", ["sha256", "sha384", "sha512"])
def test_an_hmac_is_checked_with_the_method_that_is_named(method: str) -> None:
    digest = hmac.digest(SECRET.encode(), GITHUB_BODY, method).hex()
    check_hmac(digest, GITHUB_BODY, SECRETS, method=method)
    for other in {"sha256", "sha384", "sha512"} - {method}:
        with pytest.raises(SignatureRefused, match="does not match"):
            check_hmac(digest, GITHUB_BODY, SECRETS, method=other)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        " ",
        GITHUB_DIGEST[:-1],
        GITHUB_DIGEST + "\n",
        f" {GITHUB_DIGEST}",
        f"0x{GITHUB_DIGEST}",
        f"sha256={GITHUB_DIGEST}",
        "g" * 64,
        "é" * 64,
        "Ã©" * 32,
        "٤" * 64,
        "\ud800" * 64,
        "\udcff",
        "-" + GITHUB_DIGEST[1:],
        "_".join(GITHUB_DIGEST),
        base64.b64encode(bytes.fromhex(GITHUB_DIGEST)).decode(),
        "x" * LONG,
        "0" * (LONG + 1),
    ],
    ids=cut,
)
def test_an_hmac_that_is_not_hexadecimal_is_refused(signature: str) -> None:
    with pytest.raises(SignatureRefused, match="not made of hexadecimal digits"):
        check_hmac(signature, GITHUB_BODY, SECRETS)


@pytest.mark.parametrize(
    "signature", ["00", "0" * 64, GITHUB_DIGEST[:-2], GITHUB_DIGEST * 2, "0" * LONG, JIRA_DIGEST], ids=cut
)
def test_an_hmac_of_another_body_is_refused(signature: str) -> None:
    with pytest.raises(SignatureRefused, match="does not match"):
        check_hmac(signature, GITHUB_BODY, SECRETS)


@pytest.mark.parametrize("bit", range(0, 256, 7))
def test_an_hmac_with_a_flipped_bit_is_refused(bit: int) -> None:
    digest = bytearray.fromhex(GITHUB_DIGEST)
    digest[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureRefused, match="does not match"):
        check_hmac(digest.hex(), GITHUB_BODY, SECRETS)


@pytest.mark.parametrize("bit", range(len(GITHUB_BODY) * 8))
def test_an_hmac_is_refused_if_a_bit_of_the_body_is_flipped(bit: int) -> None:
    body = bytearray(GITHUB_BODY)
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureRefused, match="does not match"):
        check_hmac(GITHUB_DIGEST, bytes(body), SECRETS)


@pytest.mark.parametrize("secrets", [[], [b"another"], [b"another", b"and another"], [SECRET.encode()[:-1]]])
def test_no_proof_is_accepted_without_the_right_secret(secrets: list[bytes]) -> None:
    checks: list[Callable[[], None]] = [
        lambda: check_hmac(GITHUB_DIGEST, GITHUB_BODY, secrets),
        lambda: check_token(SECRET, secrets, "the token"),
        lambda: check_basic(basic(f"user:{SECRET}"), secrets),
        lambda: check_standard_webhooks(standard(), BODY, secrets, signed_at()),
    ]
    assert [is_accepted(check) for check in checks] == [False] * 4


def test_a_token_is_accepted_if_it_is_one_of_the_secrets() -> None:
    check_token(SECRET, SECRETS, "header X-Gitlab-Token")
    check_token("the old one", [b"the new one", b"the old one"], "header X-Gitlab-Token")


@pytest.mark.parametrize("shown", [None, ""])
def test_the_refusal_of_a_missing_token_names_its_header(shown: str | None) -> None:
    with pytest.raises(SignatureRefused, match=r"^header X-Gitlab-Token is missing$"):
        check_token(shown, [*SECRETS, b""], "header X-Gitlab-Token")


@pytest.mark.parametrize(
    "shown",
    [SECRET[:-1], f"{SECRET} ", f" {SECRET}", SECRET.lower(), SECRET + "\0", "é", "\udcff", "€", "x" * LONG],
    ids=cut,
)
def test_a_wrong_token_is_refused(shown: str) -> None:
    with pytest.raises(SignatureRefused, match=r"^header X-Gitlab-Token is not the source's secret$"):
        check_token(shown, SECRETS, "header X-Gitlab-Token")


@pytest.mark.parametrize("secret", ["Schlüssel", "ключ", "鍵🔑", "\x80\xff"])
def test_a_secret_with_non_ascii_letters_is_accepted_from_a_header_decoded_as_latin_1(secret: str) -> None:
    shown = secret.encode().decode("latin-1")
    check_token(shown, [secret.encode()], "the token")
    check_basic(basic(f"user:{secret}"), [secret.encode()])
    assert not is_accepted(lambda: check_token(shown[:-1], [secret.encode()], "the token"))


@pytest.mark.parametrize("user", ["", "jenkins", "Jürgen", "a b"])
def test_the_password_of_basic_authentication_is_the_secret_and_the_user_is_ignored(user: str) -> None:
    check_basic(basic(f"{user}:{SECRET}"), SECRETS)
    check_basic(basic(f"{user}:the old one"), [b"the new one", b"the old one"])


@pytest.mark.parametrize("scheme", ["Basic ", "basic ", "BASIC ", "Basic   "])
def test_the_name_of_basic_authentication_is_compared_without_case(scheme: str) -> None:
    check_basic({"authorization": scheme + base64.b64encode(f"user:{SECRET}".encode()).decode()}, SECRETS)


def test_a_password_may_hold_colons() -> None:
    check_basic(basic("user:a:b"), [b"a:b"])
    assert not is_accepted(lambda: check_basic(basic("user:a:b"), [b"b"]))


ENCODED = base64.b64encode(f"user:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ({}, "Basic is missing"),
        ({"authorization": ""}, "Basic is missing"),
        ({"authorization": "Basic"}, "Basic is missing"),
        ({"authorization": f"Basic{ENCODED}"}, "Basic is missing"),
        ({"authorization": f" Basic {ENCODED}"}, "Basic is missing"),
        ({"authorization": f"Bearer {ENCODED}"}, "Basic is missing"),
        ({"authorization": ENCODED}, "Basic is missing"),
        ({"authorization": "\ud800"}, "Basic is missing"),
        ({"authorization": "Basic "}, "not user:password in base64"),
        ({"authorization": f"Basic user:{SECRET}"}, "not user:password in base64"),
        ({"authorization": f"Basic {ENCODED[:-1]}"}, "not user:password in base64"),
        ({"authorization": f"Basic {ENCODED}!"}, "not user:password in base64"),
        ({"authorization": f"Basic {ENCODED[:4]} {ENCODED[4:]}"}, "not user:password in base64"),
        ({"authorization": "Basic é"}, "not user:password in base64"),
        ({"authorization": "Basic \udcff\ud800"}, "not user:password in base64"),
        ({"authorization": "Basic " + "=" * LONG}, "not user:password in base64"),
        ({"authorization": "Basic " + "A" * LONG}, "not user:password in base64"),
        (basic(SECRET), "not user:password in base64"),
        (basic(b"\xff\xfe"), "not user:password in base64"),
        (basic("user:"), "the password of HTTP Basic is missing"),
        (basic(f"{SECRET}:"), "the password of HTTP Basic is missing"),
        (basic(f"{SECRET}:another"), "the password of HTTP Basic is not the source's secret"),
        (basic(b"user:\xff\xfe"), "the password of HTTP Basic is not the source's secret"),
        (basic("user:" + "x" * LONG), "the password of HTTP Basic is not the source's secret"),
    ],
)
def test_malformed_basic_authentication_is_refused_with_the_reason(headers: dict[str, str], complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        check_basic(headers, SECRETS)


def test_the_signatures_that_are_published_for_standard_webhooks_are_accepted() -> None:
    check_standard_webhooks(standard(), BODY, [KEY.encode()], signed_at())
    check_standard_webhooks(OTHER_HEADERS, OTHER_BODY, [OTHER_KEY.encode()], signed_at(1649367553))


def test_a_signature_is_accepted_if_it_is_made_with_any_of_the_secrets() -> None:
    check_standard_webhooks(standard(), BODY, [OTHER_KEY.encode(), KEY.encode()], signed_at())


def test_the_key_in_a_secret_may_be_written_without_its_prefix() -> None:
    check_standard_webhooks(standard(), BODY, [KEY.removeprefix("whsec_").encode()], signed_at())


@pytest.mark.parametrize("secret", [SECRET.encode(), b"not base64!", b"abc"])
def test_a_secret_that_is_not_in_base64_is_used_as_the_key_unchanged(secret: bytes) -> None:
    signature = hmac.digest(secret, f"{MESSAGE}.{STAMP}.".encode() + BODY, sha256)
    header = "v1," + base64.b64encode(signature).decode()
    check_standard_webhooks(standard(webhook_signature=header), BODY, [secret], signed_at())


@pytest.mark.parametrize(
    "header",
    [
        f"{SIGNATURE} v1,{'A' * 43}=",
        f"v1,{'A' * 43}= {SIGNATURE}",
        f"v1a,{'A' * 86}== {SIGNATURE}",
        f"v2,{'A' * 43}= v1, v1,%%% v1,é garbage {SIGNATURE}",
        f"  {SIGNATURE}  ",
        "v1,AAAA " * 5000 + SIGNATURE,
    ],
    ids=cut,
)
def test_one_right_signature_among_several_is_enough(header: str) -> None:
    check_standard_webhooks(standard(webhook_signature=header), BODY, [KEY.encode()], signed_at())


RIGHT = SIGNATURE.removeprefix("v1,")


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_delivery_is_refused_if_one_of_the_three_headers_is_missing(name: str, value: str | None) -> None:
    headers = standard()
    del headers[name]
    with pytest.raises(SignatureRefused, match=r"are required|not a Unix time"):
        check_standard_webhooks(headers | ({} if value is None else {name: value}), BODY, [KEY.encode()], signed_at())


@pytest.mark.parametrize(
    "header",
    [
        RIGHT,
        f"v1={RIGHT}",
        f"V1,{RIGHT}",
        f"v1a,{RIGHT}",
        f"v2,{RIGHT}",
        f"v11,{RIGHT}",
        f"v1 ,{RIGHT}",
        f"v0,{RIGHT},v1,{RIGHT}",
        " ",
        ",",
        "v1",
        "\ud800",
        "\udcff\u20ac",
        "v2," * 20_000,
    ],
    ids=cut,
)
def test_a_signature_with_another_version_prefix_is_ignored(header: str) -> None:
    with pytest.raises(SignatureRefused, match="no signature of version v1"):
        check_standard_webhooks(standard(webhook_signature=header), BODY, [KEY.encode()], signed_at())


@pytest.mark.parametrize(
    "header",
    [
        "v1,",
        "v1,=",
        f"v1,{RIGHT[:-1]}",
        f"v1,{RIGHT}\n",
        f"v1,{RIGHT};",
        f"v1,,{RIGHT}",
        f"v1,{RIGHT.replace('+', '-').replace('/', '_')}",
        f"v1,{RIGHT[:-4]}",
        f"v1,{'A' * 43}=",
        f"v1,{base64.b64encode(base64.b64decode(RIGHT) + b'x').decode()}",
        f"v1,{base64.b64decode(RIGHT).hex()}",
        "v1,é",
        "v1,Ã©",
        "v1,\ud800",
        "v1,\udcff\u20ac",
        "v1,%%%",
        "v1," + "A" * LONG,
        "v1," + "%" * LONG,
        "v1, " * 15_000,
        "v1,AAAA " * 8_000,
    ],
    ids=cut,
)
def test_a_malformed_or_wrong_signature_is_refused(header: str) -> None:
    with pytest.raises(SignatureRefused, match="does not match"):
        check_standard_webhooks(standard(webhook_signature=header), BODY, [KEY.encode()], signed_at())


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (standard(webhook_id="msg_another"), BODY),
        (standard(webhook_id=MESSAGE + " "), BODY),
        (standard(webhook_id="\ud800"), BODY),
        (standard(webhook_id="€"), BODY),
        (standard(webhook_id="x" * LONG), BODY),
        (standard(webhook_timestamp=str(STAMP + 1)), BODY),
        (standard(webhook_timestamp=f"0{STAMP}"), BODY),
        (standard(), BODY + b"\n"),
        (standard(), b""),
        (standard(webhook_id=f"{MESSAGE}.{STAMP}"), BODY),
    ],
)
def test_a_signature_is_valid_for_one_id_one_time_and_one_body_only(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(SignatureRefused, match="does not match"):
        check_standard_webhooks(headers, body, [KEY.encode()], signed_at())


@pytest.mark.parametrize("bit", range(0, len(BODY) * 8, 3))
def test_a_signature_is_refused_if_a_bit_of_the_body_is_flipped(bit: int) -> None:
    body = bytearray(BODY)
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureRefused, match="does not match"):
        check_standard_webhooks(standard(), bytes(body), [KEY.encode()], signed_at())


@pytest.mark.parametrize("secret", [b"whsec_", b"whsec_%%%", b"whsec_\xff", OTHER_KEY.encode(), b"\xff\xfe", b"="])
def test_a_malformed_secret_accepts_no_signature_and_raises_no_unexpected_error(secret: bytes) -> None:
    with pytest.raises(SignatureRefused, match="does not match"):
        check_standard_webhooks(standard(), BODY, [secret], signed_at())


def test_a_signature_with_an_empty_key_is_refused() -> None:
    signature = hmac.digest(b"", f"{MESSAGE}.{STAMP}.".encode() + BODY, sha256)
    header = "v1," + base64.b64encode(signature).decode()
    with pytest.raises(SignatureRefused, match="does not match"):
        check_standard_webhooks(standard(webhook_signature=header), BODY, [b"whsec_"], signed_at())


NO_TIMES = [
    "",
    " ",
    "NaN",
    "inf",
    "now",
    f"-{STAMP}",
    f"+{STAMP}",
    f" {STAMP}",
    f"{STAMP}\n",
    f"{STAMP}.0",
    f"{STAMP:,}",
    "1_614_265_330",
    "0x60380df2",
    "1e9",
    "١٦١٤٢٦٥٣٣٠",
    "²",
    "é",
    "\ud800",
    "\udcff",
    "1" * 12,
    "9" * 5000,
    "9" * LONG,
    "2021-02-25T15:02:10Z",
]


@pytest.mark.parametrize("stamp", NO_TIMES, ids=cut)
def test_a_time_that_is_not_a_unix_time_is_refused(stamp: str) -> None:
    with pytest.raises(SignatureRefused, match=r"^the time is not a Unix time$"):
        check_time(stamp, signed_at(), "the time")
    assert not is_accepted(
        lambda: check_standard_webhooks(standard(webhook_timestamp=stamp), BODY, [KEY.encode()], signed_at())
    )


@pytest.mark.parametrize("seconds", [0, 1, 299, 300, -1, -299, -300])
def test_a_time_within_five_minutes_of_now_is_accepted(seconds: int) -> None:
    now = signed_at() + timedelta(seconds=seconds)
    check_time(str(STAMP), now, "the time")
    check_standard_webhooks(standard(), BODY, [KEY.encode()], now)


@pytest.mark.parametrize("seconds", [300.001, 301, 3600, -300.001, -301, -3600])
def test_a_time_more_than_five_minutes_from_now_is_refused(seconds: float) -> None:
    now = signed_at() + timedelta(seconds=seconds)
    with pytest.raises(SignatureRefused, match=r"^the time is more than 5 minutes from the service's clock$"):
        check_time(str(STAMP), now, "the time")
    with pytest.raises(
        SignatureRefused, match=r"^header webhook-timestamp is more than 5 minutes from the service's clock$"
    ):
        check_standard_webhooks(standard(), BODY, [KEY.encode()], now)


@pytest.mark.parametrize("stamp", ["0", "99999999999", "00000000000"])
def test_a_time_many_years_from_now_is_refused(stamp: str) -> None:
    with pytest.raises(SignatureRefused, match="more than 5 minutes"):
        check_time(stamp, signed_at(), "the time")


@pytest.mark.parametrize(
    ("secret", "expected"),
    [(b"whsec_abc", True), (b"whsec_", True), (b"WHSEC_abc", False), (b"abc", False), (b"", False)],
)
def test_a_key_of_standard_webhooks_is_recognised_by_its_prefix(secret: bytes, *, expected: bool) -> None:
    assert is_signing_key(secret) is expected


def test_a_refusal_reveals_neither_the_secret_nor_the_right_signature() -> None:
    checks: list[Callable[[], None]] = [
        lambda: check_hmac("00", GITHUB_BODY, SECRETS),
        lambda: check_token("another", SECRETS, "the token"),
        lambda: check_basic(basic("user:another"), SECRETS),
        lambda: check_standard_webhooks(standard(webhook_signature="v1,AAAA"), BODY, [KEY.encode()], signed_at()),
    ]
    for check in checks:
        with pytest.raises(SignatureRefused) as refused:
            check()
        assert not [one for one in (SECRET, GITHUB_DIGEST, KEY, RIGHT, "another") if one in str(refused.value)]


TEXTS = st.text() | st.text(alphabet=st.characters(max_codepoint=255)) | st.text(alphabet="v1,=AZaz09+/ :.")
HEADERS: st.SearchStrategy[Mapping[str, str]] = st.dictionaries(
    st.sampled_from(["authorization", "webhook-id", "webhook-timestamp", "webhook-signature"]),
    TEXTS | st.just(str(STAMP)) | TEXTS.map("v1,{}".format) | TEXTS.map("Basic {}".format) | st.just(SIGNATURE),
)


@given(TEXTS, HEADERS, st.binary(max_size=40), st.lists(st.binary(min_size=1, max_size=40), max_size=2))
def test_any_proof_that_is_made_without_the_secret_is_refused_and_raises_no_unexpected_error(
    text: str, headers: Mapping[str, str], body: bytes, secrets: list[bytes]
) -> None:
    known = [*SECRETS, *(b"a stranger cannot know " + one for one in secrets)]
    checks: list[Callable[[], None]] = [
        lambda: check_hmac(text, body, known),
        lambda: check_token(text, known, "the token"),
        lambda: check_basic(headers, known),
        lambda: check_standard_webhooks(headers, body, known, signed_at()),
    ]
    assert not any(is_accepted(check) for check in checks)


@given(TEXTS, st.binary(min_size=1, max_size=40))
def test_any_time_is_accepted_or_refused_and_raises_no_unexpected_error(stamp: str, body: bytes) -> None:
    is_accepted(lambda: check_time(stamp, signed_at(), "the time"))
    is_accepted(lambda: check_standard_webhooks(standard(webhook_timestamp=stamp), body, SECRETS, signed_at()))


def test_a_content_id_is_the_hash_of_the_event_type_and_the_body() -> None:
    assert content_id("ping", b"{}") == sha256(b"ping\n{}").hexdigest()
    assert len({content_id("ping", b"{}"), content_id("ping", b"{ }"), content_id("push", b"{}")}) == 3
    assert len(content_id("\ud800\udcff é", b"")) == 64


def test_the_id_of_a_delivery_is_the_same_as_in_earlier_releases() -> None:
    # A version 5 UUID (RFC 9562) in the namespace `loopgauge:delivery`, made from the source and the provider's id.
    delivery = Delivery("github", "github", "72d3162e-cc78-11e3-81ab-4c9367dc0958", {}, b"{}", at(1))
    assert str(delivery.id) == "7753373a-7b9c-5107-984e-ffefa54461a9"


def test_the_id_of_a_delivery_depends_on_the_source_and_the_providers_id_and_not_on_the_body() -> None:
    delivery = Delivery("github", "github", "1", {}, b"{}", at(1))
    assert replace(delivery, body=b"{ }", received_at=at(2)).id == delivery.id
    assert len({delivery.id, replace(delivery, source="other").id, replace(delivery, provider_id="2").id}) == 3

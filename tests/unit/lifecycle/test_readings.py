"""A text from a person is read as the references that it may mean."""

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.lifecycle.addresses import BLANK, Address, read_address
from service.lifecycle.errors import AmbiguousReference, BadReference
from service.lifecycle.readings import ReferenceReader, abbreviated_hash
from service.lifecycle.references import Claim, KeyGrammar, Ref, ReferenceGrammar
from service.providers import REFERENCES
from service.providers.jira.references import REFERENCES as JIRA

SHA = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
EVENT_FORM = re.compile(REFERENCES.event_pattern)


def first(text: str) -> list[str]:
    """The references that a text means by its form."""
    return list(REFERENCES.read(text).first)


@pytest.mark.parametrize(
    ("text", "references"),
    [
        ("acme/app#45", ["github:acme/app#45", "github:acme/app!45", "gitlab:acme/app#45"]),
        ("Acme/App#45", ["github:acme/app#45", "github:acme/app!45", "gitlab:acme/app#45"]),
        ("acme/app!7", ["github:acme/app!7", "gitlab:acme/app!7"]),
        ("acme/tools/app#45", ["gitlab:acme/tools/app#45"]),
        ("acme/tools/app!7", ["gitlab:acme/tools/app!7"]),
        ("ML-12", ["jira:ML-12"]),
        ("ml-12", ["jira:ML-12"]),
        (" ML-12\n", ["jira:ML-12"]),
        (SHA, [f"commit:{SHA}"]),
        (SHA.upper(), [f"commit:{SHA}"]),
        (SHA[:7], [f"commit:{SHA[:7]}"]),
        ("GitHub:Acme/App#45", ["github:acme/app#45"]),
        ("JIRA:ml-12", ["jira:ML-12"]),
        ("github:acme/app%2345", ["github:acme/app#45"]),
        ("<https://github.com/acme/app/issues/45>", ["github:acme/app#45"]),
        ("https%3A%2F%2Fgithub.com%2Facme%2Fapp%2Fissues%2F45", ["github:acme/app#45"]),
        ("https://github.com/acme/app/issues/45.", ["github:acme/app#45"]),
        ("(https://github.com/acme/app/issues/45#issuecomment-1),", ["github:acme/app#45"]),
        ("[Issue [45]](https://github.com/acme/app/issues/45)", ["github:acme/app#45"]),
        ('[#45](<https://github.com/acme/app/issues/45> "Cache (answers)").', ["github:acme/app#45"]),
        ("<https://github.com/acme/app/issues/45|acme/app#45>", ["github:acme/app#45"]),
        ("[Cache answers|https://acme.atlassian.net/browse/ML-12|smart-link]", ["jira:ML-12"]),
        (
            "\N{LEFT DOUBLE QUOTATION MARK}https://acme.atlassian.net/browse/ML-12.\N{RIGHT DOUBLE QUOTATION MARK}",
            ["jira:ML-12"],
        ),
        ("\N{ZERO WIDTH SPACE}ML-12\N{NO-BREAK SPACE}", ["jira:ML-12"]),
        ("\ufeffacme/app!7\n", ["github:acme/app!7", "gitlab:acme/app!7"]),
        ("[ML-12]:", ["jira:ML-12"]),
        ("`acme/tools/app#45`,", ["gitlab:acme/tools/app#45"]),
        ("(github.com/acme/app/issues/45)", ["github:acme/app#45"]),
        (f"({SHA})", [f"commit:{SHA}"]),
        ("github:acme/app#45.", ["github:acme/app#45"]),
        ("key:answers.", ["key:answers."]),
        ("https://tracker.example.com/Items/45.", ["https://tracker.example.com/items/45."]),
        ("https:/github.com/acme/app/issues/45", ["github:acme/app#45"]),
        ("HTTP://GITHUB.COM/Acme/App/issues/45", ["github:acme/app#45"]),
        ("https://user@github.com:443/acme/app/issues/45", ["github:acme/app#45"]),
        ("github.com/acme/app/issues/45", ["github:acme/app#45"]),
        ("https://code.example.com/acme/app/issues/45", ["github:acme/app#45", "gitlab:acme/app#45"]),
        ("https://tracker.example.com/Items/45", ["https://tracker.example.com/items/45"]),
        ("tracker.example.com/items/45", []),
    ],
)
def test_a_text_means_these_references(text: str, references: list[str]) -> None:
    assert first(text) == references


def test_an_address_may_itself_be_the_reference_of_a_subject() -> None:
    """A CloudEvent of an earlier release may have had this subject."""
    assert (
        REFERENCES.read("https://github.com/acme/app/issues/45").others[-1] == "https://github.com/acme/app/issues/45"
    )


@pytest.mark.parametrize("text", ["", "number one", "#45", "app#45", "-12", "0a1b2c", "acme/app", "two words/app#45"])
def test_the_error_for_any_other_text_shows_each_accepted_form(text: str) -> None:
    with pytest.raises(BadReference) as refused:
        REFERENCES.read(text)
    shown = str(refused.value)
    for form in ("github:acme/app#45", "https://github.com/acme/app/issues/45", "acme/app!7", "ML-12", "hash", "id"):
        assert form in shown


def test_the_error_for_a_known_scheme_shows_the_form_of_this_scheme() -> None:
    with pytest.raises(BadReference, match=r"expected gitlab:acme/app#45 or gitlab:acme/app!7$"):
        REFERENCES.read("GitLab:acme/app")


PARTS = st.one_of(
    st.sampled_from(["https://", "http:/", "HTTPS://", "github.com", "gitlab.com", "code.example.com", "acme", "app"]),
    st.sampled_from(["issues", "pull", "merge_requests", "browse", "tree", "commit", "groups", "api", "v3", "v4"]),
    st.sampled_from(["repos", "projects", "45", "ML-12", SHA, SHA[:8], "eyJpaWQiOjF9"]),
    st.sampled_from(["selectedIssue=ML-12", "issue=acme%7Capp%7C45", "show="]),
    st.sampled_from(
        [
            "/",
            "//",
            "-",
            "/-/",
            "#",
            "](",
            ")",
            "|",
            ".",
            "!",
            "?",
            "&",
            "%2F",
            "%00",
            "%",
            "[",
            "]",
            "@",
            ":",
            ":443",
            ":99999",
        ]
    ),
    st.sampled_from(["\x00", " ", "\ud800", "\N{LATIN SMALL LETTER DOTLESS I}", "\N{CIRCLED DIGIT ONE}", "..."]),
)


@given(st.one_of(st.text(), st.lists(PARTS, max_size=20).map("".join)))
@example("https://[")
@example("https://github.com/acme/app/tree/%00")
@example("https://gitlab.com/a/-/issues?show=" + "W" * 3000)
@example("acme/" * 3000)
@example("a-" * 3000)
@example("[" + "](a" * 3000)
@example("[https://github.com/acme/app/issues/45](https://[)")
def test_a_text_is_read_or_refused_with_one_kind_of_error(text: str) -> None:
    try:
        reading = REFERENCES.read(text)
    except BadReference:
        return
    for reference in (*reading.first, *reading.others):
        assert REFERENCES.parse(reference) == reference
    assert len({*reading.first, *reading.others}) == len(reading.first) + len(reading.others)


@given(st.lists(PARTS, max_size=20).map("".join))
def test_the_syntax_settles_a_text_only_if_it_has_one_meaning(text: str) -> None:
    try:
        reading = REFERENCES.read(text)
    except BadReference:
        return
    if len(reading.first) > 1:
        with pytest.raises(AmbiguousReference) as ambiguous:
            REFERENCES.settle(text)
        assert [candidate.reference for candidate in ambiguous.value.candidates] == list(reading.first)
    elif not reading.first or not EVENT_FORM.fullmatch(reading.first[0]):
        with pytest.raises(BadReference):
            REFERENCES.settle(text)
    else:
        assert REFERENCES.settle(text) == reading.first[0]


@given(st.from_regex(f"^(?!https?:){REFERENCES.pattern}$").map(lambda text: text.rstrip("\n")))
@example("key:faster>")
@example("branch:acme/app@>")
def test_a_canonical_reference_means_itself(text: str) -> None:
    canonical = REFERENCES.parse(text)
    reading = REFERENCES.read(canonical)
    assert (reading.first, reading.others, reading.is_reference) == ((canonical,), (), True)


@given(st.from_regex(f"^({REFERENCES.event_pattern})$").map(lambda text: text.rstrip("\n")))
@example("run:acme/app/7")
@example(f"commit:{SHA}")
@example(f"commit:{'a' * 64}")
def test_each_reference_in_the_pattern_of_events_settles_itself(text: str) -> None:
    assert REFERENCES.settle(text) == REFERENCES.parse(text)


@given(st.from_regex(f"^({REFERENCES.short_pattern})$").map(lambda text: text.rstrip("\n")))
def test_each_short_form_in_the_openapi_document_has_one_meaning(text: str) -> None:
    assert REFERENCES.settle(text) == first(text)[0]


def test_an_abbreviated_hash_does_not_settle_a_subject() -> None:
    with pytest.raises(BadReference, match="0a1b2c3 is an abbreviated hash; write the whole hash"):
        REFERENCES.settle(SHA[:7])
    with pytest.raises(BadReference, match="abbreviated"):
        REFERENCES.settle(f"https://github.com/acme/app/commit/{SHA[:7]}")
    with pytest.raises(BadReference, match="abbreviated"):
        REFERENCES.settle(f"commit:{SHA[:7]}")


@pytest.mark.parametrize(
    "text", ["mlflow:12", "urn:idea:45", "https://ci.example.com/7", "http:7", "commit:main", "word:a"]
)
def test_a_text_without_a_known_form_settles_no_subject_but_a_lookup_reads_it(text: str) -> None:
    assert first(text) == [text]
    with pytest.raises(BadReference, match=r"expected .*(github:acme/app#45|40 or 64 hexadecimal digits)"):
        REFERENCES.settle(text)


def test_a_key_that_two_providers_share_is_ambiguous() -> None:
    other = ReferenceGrammar(
        form=f"[^{BLANK}]+",
        example="linear:ML-12",
        canonical=str.upper,
        abbreviated=lambda text: Claim((Ref(f"linear:{text}"),)),
    )
    with pytest.raises(AmbiguousReference, match="'ML-12' may mean jira:ML-12 or linear:ML-12; use one of these"):
        ReferenceReader({"jira": JIRA, "linear": other}).settle("ML-12")


def test_the_claim_of_a_provider_that_is_certain_makes_the_other_claims_void() -> None:
    def grammar(scheme: str, *, certain: bool) -> ReferenceGrammar:
        def read(address: Address) -> Claim:
            return Claim((Ref(f"{scheme}:{address.host}"),), certain=certain)

        return ReferenceGrammar(form=f"[^{BLANK}]+", example=f"{scheme}:a", addressed=read)

    reader = ReferenceReader({"sure": grammar("sure", certain=True), "unsure": grammar("unsure", certain=False)})
    assert reader.read("https://a.example.com/x").first == ("sure:a.example.com",)


def test_an_address_has_spellings_from_the_most_exact_to_the_least_exact() -> None:
    address = read_address("http://Tracker.example.com:80/Item/?id=45#top")
    assert address is not None
    assert address.spellings[:2] == (
        "https://tracker.example.com/Item/?id=45#top",
        "http://tracker.example.com/Item/?id=45#top",
    )
    assert "https://tracker.example.com/Item?id=45" in address.spellings
    assert "https://tracker.example.com/Item" in address.loose_spellings
    assert not set(address.spellings) & set(address.loose_spellings)


@pytest.mark.parametrize(
    "text",
    [
        *("", "https://", "https:///", "ftp://github.com/acme", "github.com", "a b.com/c", "https://a\n.com/b"),
        *("https://[::1/acme", "https://github.com:port/acme", f"https://github.com/{'a' * 4000}", "key:a.example/b"),
        "acme/app#45",
    ],
)
def test_a_text_that_is_no_address_of_a_page_is_not_read_as_one(text: str) -> None:
    assert read_address(text) is None


@given(st.text(string.printable))
def test_an_address_contains_no_empty_segment(text: str) -> None:
    address = read_address(f"https://code.example.com/{text}")
    assert address is None or all(address.path)


def test_an_abbreviated_hash_has_seven_to_thirty_nine_digits() -> None:
    for digits, abbreviated in ((6, False), (7, True), (39, True), (40, False)):
        assert abbreviated_hash(Ref(f"commit:{SHA[:digits]}")) == abbreviated
    assert not abbreviated_hash(Ref("key:0a1b2c3d"))


def test_keys_of_a_provider_without_a_grammar_for_keys_are_not_in_the_pattern() -> None:
    key = (
        KeyGrammar(project=JIRA.key.project, any_project="", loose_project="", number="[0-9]", expects="")
        if JIRA.key
        else None
    )
    assert ReferenceReader({}).short_pattern.startswith("[0-9a-f]")
    assert "-[0-9]|" in ReferenceReader({"x": ReferenceGrammar("a", "x:a", key=key)}).short_pattern

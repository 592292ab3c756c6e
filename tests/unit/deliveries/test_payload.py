"""The JSON of a payload is decoded at its first use, and kept for later uses."""

import pytest

from service.deliveries.delivery import UnreadableDelivery
from tests.support.builders import raw_payload


def test_a_payload_is_decoded_once() -> None:
    payload = raw_payload({"a": 1})
    assert payload.json == {"a": 1}
    assert payload.json is payload.json


def test_a_payload_that_is_not_json_is_unreadable() -> None:
    with pytest.raises(UnreadableDelivery, match="the body is not JSON"):
        _ = raw_payload(b"no JSON").json


def test_a_payload_is_searched_once_for_each_expression() -> None:
    payload, searched = raw_payload({"a": 1}), []

    def search(document: object) -> object:
        searched.append(document)
        return None

    assert [payload.find(expression, search) for expression in ("a", "a", "b", "a")] == [None] * 4
    assert searched == [{"a": 1}] * 2

"""Wrong values in messages, without the passwords that addresses may contain."""

import json
import re
from urllib.parse import unquote

from service.rules.faults import show_found

# A password may contain `@`, so it ends at the last one.
_PASSWORD = re.compile(r"^(\s*\w+://[^:/?#@]*):.*@", re.DOTALL)
_PARAMETER = re.compile(r"(?<=[?&])([^=&]*)=[^&]*")


def mask_password(url: str) -> str:
    """An address whose password is masked. Any other text stays as it is."""
    return _PARAMETER.sub(_mask_parameter, _PASSWORD.sub(r"\1:***@", url))


def _mask_parameter(parameter: re.Match[str]) -> str:
    # The name may be percent-encoded, too.
    return f"{parameter[1]}=***" if "password" in unquote(parameter[1]).lower() else parameter[0]


def refuse(expected: str, given: object) -> ValueError:
    """The error about a wrong value of a setting, with the expected and the given value. Never call it for a secret."""
    return ValueError(f"expected {expected}, got {show_given(given)}")


def show_given(given: object) -> str:
    """A value as the operator wrote it, in quotation marks."""
    return show_found(mask_password(given if isinstance(given, str) else json.dumps(given, default=str)))


def strip_secret(secret: object) -> object:
    """A secret without the white space at its ends, which comes with a copy, or with the last line of a file."""
    return secret.strip() if isinstance(secret, str) else secret

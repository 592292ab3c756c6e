"""The settings of webhook senders."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
)

from service.deliveries.delivery import source_name
from service.deliveries.signatures import spellings
from service.lifecycle.nearest import did_you_mean, suggest
from service.providers import PROVIDERS
from service.rules.validation import MISSING, Found, refusal
from service.settings.faults import NESTING, explain, variable_of
from service.settings.masking import strip_secret

_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_Secret = Annotated[SecretStr, Field(min_length=1), BeforeValidator(strip_secret)]


class SourceSettings(BaseModel):
    """One webhook sender."""

    model_config = ConfigDict(extra="forbid")

    provider: str = ""
    secret: _Secret
    previous_secret: _Secret | None = None


def read_sources(value: Any, handler: ValidatorFunctionWrapHandler) -> dict[str, SourceSettings]:
    """Read the sources by their normal names, each with its provider. Report the faults of all sources at once."""
    if not isinstance(value, dict):
        raise refusal([((), f"is not a setting of its own; set {variable_of(['sources', '<name>', 'secret'])}")])
    found = [fault for name, source in value.items() for fault in _find_unknown(name, source)]
    try:
        sources: dict[str, SourceSettings] = handler(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        found += [(details["loc"], explain(details, SourceSettings.model_fields, ("sources",))) for details in errors]
        raise refusal(_without_consequences(found)) from None
    if found:
        raise refusal(found)
    named = ((source_name(written), source) for written, source in sources.items())
    return {name: source.model_copy(update={"provider": source.provider.lower() or name}) for name, source in named}


def _find_unknown(written: str, source: object) -> Iterator[Found]:
    """Find a wrong name of a source, or an unknown provider."""
    name = source_name(written)
    if not _SOURCE_NAME.fullmatch(name):
        yield (), f"expected source names of letters, digits and _, got {written!r}"
        return
    stated = source.get("provider") if isinstance(source, dict) else None
    provider = str(stated or name).lower()
    # Pydantic reports a provider that is not a text.
    if provider not in PROVIDERS and not stated and (similar := suggest(name, PROVIDERS)):
        rename, stated_in = (variable_of(["sources", *path]) for path in ((similar, "secret"), (name, "provider")))
        yield (name, "secret"), f"no provider is named {name}; rename it to {rename}, or set {stated_in}"
    elif provider not in PROVIDERS and isinstance(stated, str | None):
        expected = f"expected one of {', '.join(sorted(PROVIDERS))}, got {provider!r}"
        yield (name, "provider"), "; ".join(filter(None, (expected, did_you_mean(provider, PROVIDERS))))


def shared_secrets(sources: Mapping[str, SourceSettings]) -> Iterator[Found]:
    """Find the secrets that two sources have in common: the sender of one source can sign deliveries of the other."""
    owners: dict[bytes, str] = {}
    for name, source in sources.items():
        for key in ("secret", "previous_secret"):
            secret: SecretStr | None = getattr(source, key)
            spelt = spellings(secret.get_secret_value().encode("utf-8", "surrogateescape")) if secret else ()
            owner = next((owners[each] for each in spelt if owners.setdefault(each, name) != name), name)
            if owner != name:
                first = variable_of(["sources", owner, "secret"])
                problem = f"expected a secret of its own, but {first} has the same one"
                remedy = "set another secret, such as the output of: openssl rand -hex 32"
                where = ("sources", name, key)
                yield where, f"{problem}, so the sender of one source can post as the other; {remedy}"


def _without_consequences(found: list[Found]) -> list[Found]:
    """Leave out the fault that a source lacks its secret, if another fault says that the secret's name is misspelt."""
    suggested = {path[:-1] for path, problem in found if problem.endswith(f"{NESTING}SECRET?")}
    return [one for one in found if not (one[1] == MISSING and one[0][:-1] in suggested)]

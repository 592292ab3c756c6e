"""Settings that are valid, but open the service to more clients than is probably intended."""

from collections.abc import Iterator
from itertools import combinations

from pydantic import SecretStr

from service.deliveries.signatures import spellings
from service.settings.faults import variable_of
from service.settings.model import Settings, example_secrets
from service.settings.sources import shared_secrets

_SHORTEST_TOKEN = 16
_FEWEST_CHARACTERS = 6
_KNOWN_WORDS = frozenset(
    {"admin", "changeme", "default", "example", "letmein", "loopgauge", "metrics", "password", "passwort", "read"}
    | {"root", "secret", "test", "testing", "token", "webhook", "write"}
)
"""Words that attackers try first, in lower case and without separators."""
_REMEDY = "set the output of: openssl rand -hex 32"


def find_exposures(settings: Settings) -> Iterator[str]:
    """Find tokens that others can guess or have for another purpose, and reads and metrics that are open to others.

    No warning has the value of a secret or a token.
    """
    yield from _weak_tokens(settings)
    for path, problem in shared_secrets(settings.sources):
        yield f"{variable_of(path)}: {problem}"
    yield from _equal_tokens(settings)
    yield from _secrets_that_are_tokens(settings)
    if settings.role != "worker":
        yield from _reads(settings)
    yield from _metrics(settings)


def find_weak_secrets(settings: Settings) -> Iterator[str]:
    """Find webhook secrets that others know. On loopback, where a trial runs, the service starts with them."""
    examples = {variable_of(path) for path in example_secrets(settings)}
    for variable, secret in _secrets(settings):
        if variable in examples:
            yield f"{variable} has the value of an example, which everyone knows; {_REMEDY}"
        elif _is_known(secret):
            yield f"{variable} is a word that attackers try first: they can then sign deliveries; {_REMEDY}"


def _weak_tokens(settings: Settings) -> Iterator[str]:
    examples = {variable_of(path) for path in example_secrets(settings)}
    for variable, token in _tokens(settings):
        if variable in examples:
            yield f"{variable} has the value of an example, which everyone knows; {_REMEDY}"
        elif _is_known(token):
            yield f"{variable} is a word that attackers try first; {_REMEDY}"
        elif len(token) < _SHORTEST_TOKEN or len(set(token)) < _FEWEST_CHARACTERS:
            yield f"{variable} is short or has few different characters, so attackers can guess it; {_REMEDY}"


def _is_known(value: str) -> bool:
    return "".join(filter(str.isalnum, value)).lower() in _KNOWN_WORDS


def _equal_tokens(settings: Settings) -> Iterator[str]:
    for (first, token), (second, other) in combinations(_tokens(settings), 2):
        if token == other:
            yield f"{second} is the same token as {first}, so each client has the rights of both; {_REMEDY}"


def _secrets_that_are_tokens(settings: Settings) -> Iterator[str]:
    tokens = [(variable, spellings(_encoded(token))) for variable, token in _tokens(settings)]
    for variable, secret in _secrets(settings):
        for of_token, spelt in tokens:
            if spelt & spellings(_encoded(secret)):
                danger = f"so the tool that sends these webhooks has the rights of {of_token}"
                yield f"{variable} is the same as {of_token}, {danger}; {_REMEDY}"


def _reads(settings: Settings) -> Iterator[str]:
    tokens, remedy = settings.api_tokens, "set LOOPGAUGE_API_TOKENS__READ"
    if tokens.read:
        return
    if settings.open_reads and not settings.listens_on_loopback:
        yield (
            f"the service listens on {settings.host} with LOOPGAUGE_OPEN_READS: everyone who reaches it may read; "
            f"remove LOOPGAUGE_OPEN_READS, and {remedy}"
        )
    elif settings.open_reads and settings.root_path:
        yield (
            f"LOOPGAUGE_OPEN_READS opens the reads to every client of the proxy that serves {settings.root_path}; "
            "remove LOOPGAUGE_OPEN_READS, and sign browsers in with loopgauge sign-in"
        )
    elif not settings.listens_on_loopback and not tokens.admin:
        yield f"the service listens on {settings.host} without a read token, so the API refuses reads; {remedy}"


def _metrics(settings: Settings) -> Iterator[str]:
    if settings.metrics_token:
        return
    if not settings.listens_on_loopback and not settings.open_metrics:
        yield (
            f"the service listens on {settings.host} without a metrics token, so /metrics refuses every scrape; "
            "set LOOPGAUGE_METRICS_TOKEN, or LOOPGAUGE_OPEN_METRICS=true if only Prometheus can reach the service"
        )
    elif settings.open_metrics and not settings.listens_on_loopback:
        yield (
            f"the service listens on {settings.host} with LOOPGAUGE_OPEN_METRICS: everyone who reaches it can read "
            "/metrics; set LOOPGAUGE_METRICS_TOKEN instead, unless only Prometheus can reach the service"
        )
    elif settings.open_metrics and settings.root_path:
        yield (
            f"LOOPGAUGE_OPEN_METRICS opens /metrics to every client of the proxy that serves {settings.root_path}; "
            "set LOOPGAUGE_METRICS_TOKEN instead, or do not forward /metrics"
        )


def _tokens(settings: Settings) -> Iterator[tuple[str, str]]:
    """The tokens that are set, with their variables."""
    for name, token in settings.api_tokens:
        if token is not None:
            yield variable_of(["api_tokens", name]), _value(token)
    if settings.metrics_token is not None:
        yield variable_of(["metrics_token"]), _value(settings.metrics_token)


def _secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    """The webhook secrets, with their variables."""
    for name, source in sorted(settings.sources.items()):
        for key, secret in (("secret", source.secret), ("previous_secret", source.previous_secret)):
            if secret is not None:
                yield variable_of(["sources", name, key]), _value(secret)


def _value(secret: SecretStr) -> str:
    return secret.get_secret_value().strip()


def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")

"""The client of the commands. It speaks HTTP to a remote service, or to the application in this process."""

import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from pydantic import BaseModel, ValidationError

from service.commands.address import TOKEN_VARIABLE, URL_VARIABLE
from service.commands.running import CommandFailed
from service.commands.table import printable

if TYPE_CHECKING:
    from service.local_api import LocalApi
    from service.rules.model import Rules
    from service.settings import Settings

Right = Literal["read", "write", "admin"]
"""The name of the token that allows a request."""

_Answer = TypeVar("_Answer", bound=BaseModel)

# The service answers within 55 seconds, if only with a 503.
_TIMEOUT = httpx.Timeout(65.0, connect=10.0)
_HOME = "/"
_LOCAL_URL = "http://localhost"
# The problem of the route that does not exist; problems about things that do not exist have types of their own.
_NO_ROUTE = ("urn:loopgauge:problem:not-found", "urn:loopgauge:problem:method-not-allowed")
_OF_GATEWAYS = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
_UNAVAILABLE = "urn:loopgauge:problem:database-unavailable"
_ASK_A_SERVICE = f"to ask a running service, set {URL_VARIABLE}, for example to http://127.0.0.1:8080"
_UPGRADE = "the service is probably older than this command: use the version of the service"


class _Candidate(msgspec.Struct):
    """A subject that an ambiguous reference may mean."""

    reference: str
    title: str = ""
    url: str = ""


class _Problem(msgspec.Struct):
    """Problem details (RFC 9457), as every error of the service has them."""

    title: str
    detail: str
    type: str = ""
    candidates: list[_Candidate] = []


class NotFound(CommandFailed):
    """The service has nothing at the requested path."""


class _Link(msgspec.Struct):
    path: str


class _Home(msgspec.Struct):
    """The home page of a process, with links to the paths that the process has."""

    links: list[_Link]


class Client:
    """Requests documents from the service.

    Args:
        http: sends the requests.
        url: the address of the remote service; empty for the local database.
        database: the local database in words; empty for a remote service.
    """

    def __init__(self, http: httpx.AsyncClient, url: str = "", database: str = "") -> None:
        self._http = http
        self._url = url
        self._database = database

    async def get(self, path: str, **parameters: Any) -> bytes:
        """Request a JSON document. A parameter that is None is left out.

        Raises:
            CommandFailed: there is no answer, or the answer is an error; the message says what to do.
        """
        return await self._request("GET", path, "read", params=_written(parameters))

    async def post(self, path: str, right: Right, body: Mapping[str, Any]) -> bytes:
        """Post a JSON document, and return the document that answers it.

        Args:
            right: the name of the token that allows the request.

        Raises:
            CommandFailed: there is no answer, or the answer is an error; the message says what to do.
        """
        content = msgspec.json.encode(body)
        return await self._request("POST", path, right, content=content, headers={"content-type": "application/json"})

    def decode(self, document: bytes, model: type[_Answer]) -> _Answer:
        """Read a document from the service.

        Raises:
            CommandFailed: the document does not have the form that this version of loopgauge knows.
        """
        try:
            return model.model_validate_json(document)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "the document"
            problem = f"{field} {'is missing' if first['type'] == 'missing' else 'has another form'}"
            raise CommandFailed(
                f"{self._url} answers in a form that this command does not know ({problem}): "
                "use the version of the service, or print the document with --json"
            ) from None

    async def _request(self, method: str, path: str, right: Right, **content: Any) -> bytes:
        try:
            response = await self._http.request(method, path, **content)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise CommandFailed(_unanswered(self._url, error)) from error
        if response.is_success and _is_json(response):
            return response.content
        if _lacks_route(response) and await self._is_worker():
            raise CommandFailed(f"{self._url} is a worker; give the address of a process of the role api or all")
        failed = NotFound if response.status_code == HTTPStatus.NOT_FOUND else CommandFailed
        raise failed(self._refusal(response, right))

    async def _is_worker(self) -> bool:
        """Whether the process of the service is a worker: its home page links to the metrics, but to no reads."""
        try:
            response = await self._http.get(_HOME)
            home = msgspec.json.decode(response.content, type=_Home)
        except (httpx.HTTPError, msgspec.DecodeError):
            return False
        # The path of a link begins with the prefix of the proxy.
        names = {link.path.rpartition("/")[2] for link in home.links}
        return "metrics" in names and names.isdisjoint(("experiments", "scorecard"))

    def _refusal(self, response: httpx.Response, right: Right) -> str:
        """Explain in one line an answer that is not the expected document, and add the remedy.

        If a reference is ambiguous, a line for each candidate follows.
        """
        status = response.status_code
        asked = f"{response.request.method} {response.request.url.path}"
        if response.is_redirect:
            location = response.headers.get("location", "another address")
            return f"{self._url} redirects to {location}; name the new address with --url"
        try:
            problem = msgspec.json.decode(response.content, type=_Problem)
        except msgspec.DecodeError:
            answer = f"{status} {response.reason_phrase}".strip()
            advice = "check that the service runs behind its proxy, and check" if status in _OF_GATEWAYS else "check"
            return (
                f"{self._url} does not answer as loopgauge does: {asked} is answered {answer}; "
                f"{advice} --url or {URL_VARIABLE}"
            )
        if problem.type in _NO_ROUTE and (path := urlsplit(self._url).path):
            remedy = f"give --url or {URL_VARIABLE} without the path {path}, unless a proxy adds it"
            return f"{self._url} has no {asked}; {remedy}"
        if problem.type in _NO_ROUTE:
            return f"{self._url} has no {asked}; {_UPGRADE}"
        refusal = "; ".join(filter(None, (_sentence(problem, status), self._remedy(response, right))))
        return "\n".join([refusal, *map(_line, problem.candidates)])

    def _remedy(self, response: httpx.Response, right: Right) -> str:
        if not self._url:
            absent = b"othing is stored" in response.content and b"not an experiment" not in response.content
            return f"this command looked in {self._database}; {_ASK_A_SERVICE}" if absent else ""
        match response.status_code:
            case HTTPStatus.UNAUTHORIZED:
                tokens = "admin token" if right == "admin" else f"{right} token or the admin token"
                made = "; loopgauge sign-in --token prints its read token" if right == "read" else ""
                return f"give the {tokens} of {self._url} in {TOKEN_VARIABLE}{made}"
            case HTTPStatus.FORBIDDEN:
                return f"this is a setting of the service at {self._url}"
            case HTTPStatus.UNPROCESSABLE_ENTITY if "expected one of" in response.text and "query." in response.text:
                return _UPGRADE
            case HTTPStatus.SERVICE_UNAVAILABLE:
                return f"{self._url} is up; try again {_moment(response)}"
            case HTTPStatus.TOO_MANY_REQUESTS:
                return f"try again {_moment(response)}"
            case _:
                return ""


@asynccontextmanager
async def open_remote(url: str, token: str) -> AsyncIterator[Client]:
    """Open a client of the service at an address.

    The client follows no redirects, so that the token reaches no other host. It trusts the certificates that the
    operating system trusts, and those in the file that SSL_CERT_FILE names.
    """
    # Bytes, because httpx would refuse a token with letters beyond ASCII.
    headers = {b"authorization": f"Bearer {token}".encode()} if token else {}
    context = ssl.create_default_context()
    try:
        http = httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT, verify=context)
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        # httpx reads the addresses of proxies here, too. It needs another package for a SOCKS proxy.
        raise CommandFailed(f"cannot use {url}, or the proxy in the environment: {error}") from error
    async with http:
        yield Client(http, url)


@asynccontextmanager
async def open_local(settings: "Settings", rules: "Rules") -> AsyncIterator[Client]:
    """Open a client of the application in this process, over the database that the settings name.

    Raises:
        EmbeddedUnavailable: the embedded server cannot run.
        DatabaseError: the database cannot be used.
    """
    from service.local_api import open_local_api
    from service.settings import describe_database

    async with open_local_api(settings, rules) as local, _in_process(local) as http:
        yield Client(http, database=describe_database(settings))


def _in_process(local: "LocalApi") -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(local.app),
        base_url=_LOCAL_URL,
        headers={"authorization": f"Bearer {local.token}"},
        # Otherwise, a proxy that the environment names would get the requests.
        trust_env=False,
    )


def experiment_path(reference: str) -> str:
    """The path of an experiment. It escapes the `//` of an address, because a proxy could merge the slashes."""
    return f"/experiments/{quote(reference, safe='/:!@').replace('//', '/%2F')}"


def indented(document: bytes) -> str:
    """A JSON document as people read it. The document keeps its members, their order and their numbers.

    Control and format characters in its texts are escaped, so that they do not control a terminal.

    Raises:
        CommandFailed: the document is not JSON.
    """
    try:
        return _escaped(msgspec.json.format(document, indent=2).decode())
    except (msgspec.DecodeError, RecursionError):
        raise CommandFailed(f"the answer is not JSON, or only a part of it; check --url or {URL_VARIABLE}") from None


def _escaped(document: str) -> str:
    # Except for line breaks, unprintable characters occur only inside the texts of a JSON document, so they can be
    # escaped there.
    return "".join(
        letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in document
    )


def _written(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _lacks_route(response: httpx.Response) -> bool:
    try:
        return msgspec.json.decode(response.content, type=_Problem).type in _NO_ROUTE
    except msgspec.DecodeError:
        return False


def _is_json(response: httpx.Response) -> bool:
    media_type: str = response.headers.get("content-type", "")
    return media_type.partition(";")[0].strip() == "application/json"


def _sentence(problem: _Problem, status: int) -> str:
    """The problem in one line. The detail alone is enough if it names what the title speaks of, as in a 404."""
    title, detail = (printable(" ".join(text.split())) for text in (problem.title, problem.detail))
    if status == HTTPStatus.UNAUTHORIZED:
        # Omit the rest of the detail, which names the variable of the service: the remedy names that of the command.
        return detail.partition(";")[0].rstrip(".") or title
    if not detail:
        return title
    if status == HTTPStatus.NOT_FOUND or problem.type == _UNAVAILABLE or detail.lower().startswith(title.lower()):
        return detail
    return f"{title}: {detail.rstrip('.')}"


def _line(candidate: _Candidate) -> str:
    members = (" ".join(member.split()) for member in (candidate.reference, candidate.title, candidate.url))
    return "  " + "  ".join(filter(None, members))


def _moment(response: httpx.Response) -> str:
    seconds: str = response.headers.get("retry-after", "")
    return f"in {seconds} seconds" if re.fullmatch("[0-9]{1,6}", seconds) else "in a moment"


def _unanswered(url: str, error: Exception) -> str:
    """The reason why there is no answer, with the remedy."""
    if isinstance(error, httpx.TimeoutException):
        return f"{url} does not answer in time; check that the service runs there, and that no firewall blocks it"
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {url} is not trusted: {cause.verify_message}; "
                "name the file of your certificate authority in SSL_CERT_FILE"
            )
    if any("WRONG_VERSION_NUMBER" in str(cause) for cause in causes):
        return f"{url} does not speak https; try http{url.removeprefix('https')}"
    reason = next((cause.strerror for cause in reversed(causes) if isinstance(cause, OSError) and cause.strerror), "")
    return (
        f"cannot reach {url}: {reason or error}; check that the service runs there, and check --url or {URL_VARIABLE}"
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and its causes, outermost first."""
    if error is None:
        return []
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__ or error.__context__,)
    return [error, *(cause for one in inner for cause in _causes(one))]

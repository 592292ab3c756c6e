"""Read the connection URL: its parts, the options of libpq, and the files that they name."""

import configparser
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from service.storage.url_options import IGNORED, OPTIONS

Address: TypeAlias = tuple[str | None, int | None]
"""A host name, an IP address or the directory of a Unix socket, and a port. `None` is the driver's default."""

# The driver takes these options from a URL only.
_OF_DRIVER = (
    "passfile",
    "krbsrvname",
    "gsslib",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)
SOCKET_OPTIONS = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
_VERIFYING = ("verify-ca", "verify-full")
_PORTS = range(1, 65536)


class InvalidUrl(ValueError):
    """The connection URL cannot be used; the message says why, without the URL's secrets."""


@dataclass(frozen=True, slots=True)
class Target:
    """The parts and options of a connection URL.

    Attributes:
        for_driver: options that the driver reads.
        settings: settings of PostgreSQL, which the first message of a connection contains.
        sockets: options of the TCP socket, from `SOCKET_OPTIONS`.
        timeout: seconds to wait for a connection to one host; `None` if the URL does not say.
        writable: whether to skip hosts that do not accept writes.
        shuffled: whether to try the hosts in random order.
        pooled: whether a pooler hands out sessions for one transaction each; `None` if the URL does not say.
        system_roots: whether to trust the authorities that the operating system trusts.
    """

    addresses: Sequence[Address]
    user: str | None
    password: str | None
    database: str | None
    for_driver: Mapping[str, str]
    settings: Mapping[str, str]
    sockets: Mapping[str, int]
    timeout: float | None
    writable: bool
    shuffled: bool
    pooled: bool | None
    system_roots: bool


def read_url(url: str) -> Target:
    """Read a connection URL.

    Raises:
        InvalidUrl: the URL is malformed, has an option that loopgauge does not honour, or names a file that cannot be
            used. The message names every such option.
    """
    try:
        options, netloc_hosts = _options(url)
        addresses = _addresses(netloc_hosts, options)
    except InvalidUrl:
        raise
    except ValueError as error:
        # Do not quote the error: it may contain the password.
        raise InvalidUrl("expected postgresql://user:password@host/database, with options of libpq") from error
    if faults := [*_refusals(options), *_tls_faults(options), *_passfile_faults(options)]:
        raise InvalidUrl("; ".join(faults))
    return _target(addresses, options)


def _options(url: str) -> tuple[dict[str, str], str]:
    """The options in all parts of a URL and in the service file, and the part of the URL that lists the hosts."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("the scheme is not postgresql")
    if "#" in url:
        raise InvalidUrl("a # ends the URL; percent-encode it as %23")
    login, at, hosts = parts.netloc.partition("@") if "@" in parts.netloc else ("", "", parts.netloc)
    user, _, password = login.partition(":") if at else ("", "", "")
    # In `user:p@ss/word@host/name`, the password continues in the path.
    if "@" in hosts or "@" in parts.path:
        raise InvalidUrl("an @ in the user or in the password ends it; percent-encode it as %40")
    query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    plain = {"user": unquote(user), "password": unquote(password), "dbname": unquote(parts.path.removeprefix("/"))}
    options = {**query, **{name: value for name, value in plain.items() if value}}
    if "\0" in "".join([unquote(hosts), *options, *options.values()]):
        raise InvalidUrl("%00 is not a character")
    if service := options.pop("service", None):
        options = {**_service(service), **options}
    if options.get("ssl") == "true":
        # libpq reads this option of JDBC's URLs, too.
        options.setdefault("sslmode", "require")
    return options, hosts


def _service(name: str) -> dict[str, str]:
    """The options of a service in the service file."""
    path = Path(os.environ.get("PGSERVICEFILE") or Path.home() / ".pg_service.conf")
    services = configparser.ConfigParser(interpolation=None)
    try:
        with path.open() as file:
            services.read_file(file)
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a service file"
        raise InvalidUrl(f"service={name} cannot be read from {path}: {reason}; set PGSERVICEFILE") from error
    if not services.has_section(name):
        raise InvalidUrl(f"service={name} is not in {path}")
    return {key: value for key, value in services[name].items() if value}


def _addresses(netloc_hosts: str, options: Mapping[str, str]) -> list[Address]:
    encoded = netloc_hosts.split(",") if netloc_hosts else []
    listed = [_split(spec) for spec in encoded] or [_split(spec) for spec in _list(options, "host")]
    hosts = [(unquote(host) if encoded else host, port) for host, port in listed]
    if any(not host for host, _ in hosts):
        raise InvalidUrl("a host in the list of hosts is empty")
    ports = [] if encoded else [int(port) for port in _list(options, "port")]
    if len(ports) > 1 and len(ports) != len(hosts):
        raise InvalidUrl(f"port lists {len(ports)} ports for {len(hosts)} hosts")
    if wrong := [port for port in (*ports, *(port for _, port in hosts)) if port is not None and port not in _PORTS]:
        raise InvalidUrl(f"port {wrong[0]} is not a port from 1 to {_PORTS[-1]}")
    if not hosts:
        return [(None, ports[0] if ports else None)]
    return [(host, port or (ports[place % len(ports)] if ports else None)) for place, (host, port) in enumerate(hosts)]


def _list(options: Mapping[str, str], name: str) -> list[str]:
    return options[name].split(",") if options.get(name) else []


def _split(spec: str) -> tuple[str, int | None]:
    if spec.startswith("/"):
        return spec, None
    if spec.startswith("["):
        host, _, rest = spec[1:].partition("]")
        return host, int(rest.removeprefix(":")) if rest.removeprefix(":") else None
    host, _, port = spec.partition(":")
    return host, int(port) if port else None


def _refusals(options: Mapping[str, str]) -> Iterator[str]:
    for name, value in options.items():
        option = OPTIONS.get(name)
        if option is not None and not option.is_honoured(value):
            # Show the value only if the option takes known words or numbers: the value of another option may be secret.
            shown = f"{name}={value}" if option.honours and len(value) <= _SHOWN else name
            yield f"{shown} is not supported: {option.otherwise}"
        elif option is None and (near := get_close_matches(name, OPTIONS, 1, _NEAR)):
            yield f"{name} is no option; did you mean {near[0]}?"


_SHOWN = 40
# Other names are settings of PostgreSQL. Some of them, such as `tcp_keepalives_interval`, are almost as near.
_NEAR = 0.92


def _given(options: Mapping[str, str], name: str) -> str:
    """The value of an option for TLS or of `passfile`, which may come from libpq's environment variable."""
    return options.get(name) or os.environ.get(f"PG{name.upper()}", "")


def _tls_faults(options: Mapping[str, str]) -> Iterator[str]:
    mode, root = _given(options, "sslmode"), _given(options, "sslrootcert")
    if root == "system":
        if mode not in ("", "verify-full"):
            yield (
                f"sslrootcert=system needs sslmode=verify-full, not {mode}: "
                "anyone can get a certificate for a name of their own"
            )
    elif mode in _VERIFYING and not root and not (Path.home() / ".postgresql/root.crt").exists():
        yield (
            f"sslmode={mode} needs the certificate of an authority: add sslrootcert=system for a public authority, "
            "or sslrootcert=/path/ca.crt"
        )
    elif mode in ("require", *_VERIFYING) and root:
        yield from _unreadable("sslrootcert", root)
    if mode in ("require", *_VERIFYING) and (revoked := _given(options, "sslcrl")):
        yield from _unreadable("sslcrl", revoked)
    if mode != "disable" and (certificate := _given(options, "sslcert")):
        yield from _unusable_certificate(certificate, _given(options, "sslkey"), options.get("sslpassword", ""))


def _unreadable(option: str, path: str) -> Iterator[str]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        yield f"{option}: {path} contains no certificate in PEM format"
    except OSError as error:
        yield f"{option}: cannot read {path}: {error.strerror}"


def _unusable_certificate(certificate: str, key: str, password: str) -> Iterator[str]:
    for option, path in (("sslcert", certificate), ("sslkey", key)):
        try:
            if path:
                Path(path).open("rb").close()
        except OSError as error:
            yield f"{option}: cannot read {path}: {error.strerror}"
            return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key or None, lambda: password)
    except OSError:
        # Do not quote the error of OpenSSL: it names neither the file nor the remedy.
        files = f"{certificate} and {key}" if key else certificate
        yield f"sslcert: {files} are not a certificate and its key in PEM format, or sslpassword is wrong"


def _passfile_faults(options: Mapping[str, str]) -> Iterator[str]:
    path = options.get("passfile", "")
    if not path or options.get("password"):
        return
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - the path stays as it is written
        Path(path).open("rb").close()
    except OSError as error:
        yield f"passfile: cannot read {path}: {error.strerror}"
        return
    if mode & 0o077:
        yield f"passfile: other users may read {path}, so the driver ignores it; run: chmod 600 {path}"


def _sockets(options: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The options of the socket. As in libpq, zero leaves a number to the operating system."""
    for name in SOCKET_OPTIONS:
        if name in options and (name == "keepalives" or int(options[name])):
            yield name, int(options[name])


def _target(addresses: Sequence[Address], options: Mapping[str, str]) -> Target:
    attributes = options.get("target_session_attrs") or ("read-write" if len(addresses) > 1 else "any")
    name = options.get("application_name") or options.get("fallback_application_name") or "loopgauge"
    own = {key: value for key, value in options.items() if key not in OPTIONS and key not in IGNORED}
    if "options" in options:
        own["options"] = options["options"]
    return Target(
        addresses=addresses,
        user=options.get("user"),
        password=options.get("password"),
        database=options.get("dbname") or options.get("database"),
        for_driver={key: options[key] for key in _OF_DRIVER if key in options},
        settings={**own, "application_name": name},
        sockets=dict(_sockets(options)),
        timeout=float(options["connect_timeout"]) if "connect_timeout" in options else None,
        writable=attributes != "any",
        shuffled=options.get("load_balance_hosts") == "random",
        pooled=options["pgbouncer"] == "true" if "pgbouncer" in options else None,
        system_roots=_given(options, "sslrootcert") == "system",
    )

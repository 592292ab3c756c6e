"""The options of a connection URL: which values of them loopgauge honours, and why it refuses the others.

The table has every parameter key word of libpq 18, and the options that hosting providers add to their URLs. Source:
PostgreSQL's documentation, "Parameter Key Words" in the chapter on libpq.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_MOST_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a connection URL.

    Attributes:
        honours: a regular expression for the values that loopgauge honours; empty if it honours none.
        otherwise: why loopgauge refuses the other values, and what to do instead.
        most: the largest number that loopgauge honours.
    """

    honours: str
    otherwise: str = ""
    most: int | None = None

    def is_honoured(self, value: str) -> bool:
        """Whether loopgauge honours this value."""
        if not self.honours or re.fullmatch(self.honours, value, re.DOTALL) is None:
            return False
        return self.most is None or (len(value) <= _MOST_DIGITS and int(value) <= self.most)


def _any() -> Option:
    return Option(".*")


def _refused(why: str) -> Option:
    return Option("", why)


def _up_to(most: int) -> Option:
    return Option("[0-9]+", f"expected a whole number up to {most}", most)


_NO_OAUTH = _refused("the driver cannot log in with OAuth; log in with a password or with sslcert")
_NO_KEYS = _refused("the driver derives the keys from the password; set password instead")
_TLS_VERSION = Option(r"TLSv1(\.[123])?", "expected TLSv1.2 or TLSv1.3")

OPTIONS: Mapping[str, Option] = {
    # The address and the login.
    "host": _any(),
    "hostaddr": _refused("the driver resolves host itself; put the address into host"),
    "port": _any(),
    "dbname": _any(),
    "user": _any(),
    "password": _any(),
    "passfile": _any(),
    "service": _any(),
    "require_auth": _refused(
        "the driver answers every method that the server asks for; "
        "use sslmode=verify-full, so that no other server can ask"
    ),
    "channel_binding": Option(
        "disable|prefer",
        "the driver cannot bind the login to the TLS connection; use sslmode=verify-full&sslrootcert=system instead "
        "(or the file of the authority), which also keeps other servers out",
    ),
    "scram_client_key": _NO_KEYS,
    "scram_server_key": _NO_KEYS,
    "oauth_issuer": _NO_OAUTH,
    "oauth_client_id": _NO_OAUTH,
    "oauth_client_secret": _NO_OAUTH,
    "oauth_scope": _NO_OAUTH,
    "requirepeer": _refused(
        "the driver cannot check the user of the server; restrict access to the directory of the socket instead"
    ),
    "krbsrvname": _any(),
    "gsslib": Option("gssapi", "the only library on this system is gssapi; omit the option"),
    "gssencmode": Option("disable|prefer", "the driver cannot encrypt with GSSAPI; use sslmode=require instead"),
    "gssdelegation": Option("0", "the driver delegates no credentials; omit the option"),
    # Several hosts.
    "target_session_attrs": Option("any|primary|read-write", "loopgauge needs a server that accepts writes"),
    "load_balance_hosts": Option("disable|random", "expected disable or random"),
    # The connection.
    "connect_timeout": Option(
        "0*[1-9][0-9]*",
        "expected a number of seconds up to 3600; without a limit, a silent host would block the service",
        3600,
    ),
    "keepalives": Option("[01]", "expected 0 or 1"),
    "keepalives_idle": _up_to(32_767),
    "keepalives_interval": _up_to(32_767),
    "keepalives_count": _up_to(127),
    "tcp_user_timeout": _up_to(2_147_483_647),
    "min_protocol_version": Option(r"3\.0", "the driver speaks version 3.0 of the protocol; omit the option"),
    "max_protocol_version": Option(r"3\.[0-9]|latest", "expected 3.0, 3.2 or latest"),
    # The session.
    "application_name": _any(),
    "fallback_application_name": _any(),
    "client_encoding": Option("(?i:auto|utf-?8|unicode)", "loopgauge speaks UTF-8; omit the option"),
    "options": _any(),
    "replication": Option("(?i:false|off|no|0)", "loopgauge needs an ordinary connection; omit the option"),
    # TLS.
    "sslmode": Option(
        "disable|allow|prefer|require|verify-ca|verify-full",
        "expected disable, allow, prefer, require, verify-ca or verify-full",
    ),
    "sslnegotiation": Option("postgres|direct", "expected postgres or direct"),
    "sslcompression": Option("0", "compression weakens TLS; omit the option"),
    "sslrootcert": _any(),
    "sslcert": _any(),
    "sslkey": _any(),
    "sslpassword": _any(),
    "sslcertmode": Option(
        "allow", "the driver sends the certificate in sslcert whenever the server asks for one; omit the option"
    ),
    "sslcrl": _any(),
    "sslcrldir": _refused("the driver reads revoked certificates from one file; use sslcrl instead"),
    "sslsni": Option("1", "the driver always sends the name of the server; omit the option"),
    "ssl_min_protocol_version": _TLS_VERSION,
    "ssl_max_protocol_version": _TLS_VERSION,
    "sslkeylogfile": _refused("the file would decrypt every connection; omit the option"),
    # Options of providers and of other drivers.
    "database": _any(),
    "ssl": Option("true|false", "expected true or false; for other modes of TLS, use sslmode"),
    "pgbouncer": Option("true|false", "expected true for a pooler in transaction mode, otherwise false"),
}

IGNORED = frozenset(
    {"connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size", "supa", "uselibpqcompat"}
)
"""Options that hosting providers put into their URLs to tune other drivers. They do not change what PostgreSQL does."""

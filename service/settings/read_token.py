"""The read token in the data directory. A service on loopback makes it at its first start; commands find it there."""

import os
import secrets  # noqa: TID251 - the token must be secret, and nothing is derived from it
import stat
import tempfile
from pathlib import Path

from pydantic import SecretStr

from service.settings.model import Settings

_NAME = "read-token"
_BYTES = 32
_OTHERS = 0o077
# A longer token would not fit into the head of a request.
_LONGEST = 32_768
_INSTEAD = "set LOOPGAUGE_API_TOKENS__READ instead"


class ReadTokenUnavailable(Exception):
    """The file of the read token cannot be used; the message says why, and what to do."""


def read_token_file(settings: Settings) -> Path:
    """The file of the read token."""
    return settings.data_dir / _NAME


def provide_read_token(settings: Settings) -> tuple[Settings, bool]:
    """Add the read token in the data directory to the settings of a service that uses it. Make the token at the first
    start.

    Returns:
        the settings with the token, and whether the token is new.

    Raises:
        ReadTokenUnavailable: the token can neither be read nor made.
    """
    if not settings.makes_read_token:
        return settings, False
    file = read_token_file(settings)
    token = _read(file)
    is_new = token is None and _make(file)
    token = token or _read(file)
    if token is None:
        raise ReadTokenUnavailable(f"{file} disappeared; start again, or {_INSTEAD}")
    tokens = settings.api_tokens.model_copy(update={"read": SecretStr(token)})
    return settings.model_copy(update={"api_tokens": tokens}), is_new


def find_read_token(settings: Settings) -> str | None:
    """The read token of a service with these settings; None if the service has none, or has not started yet.

    Raises:
        ReadTokenUnavailable: the token cannot be read.
    """
    if settings.api_tokens.read is not None:
        return settings.api_tokens.read.get_secret_value()
    return read_made_token(settings) if settings.makes_read_token else None


def read_made_token(settings: Settings) -> str | None:
    """The read token in the data directory; None if there is none.

    Raises:
        ReadTokenUnavailable: the token cannot be read.
    """
    return _read(read_token_file(settings))


def _read(file: Path) -> str | None:
    """The token in the file; None if there is no file.

    A file that another user can write or read protects nothing: that user may have chosen the token, or know it.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReadTokenUnavailable(f"cannot read {file}: {error.strerror}; {_INSTEAD}") from error
    try:
        _check_owner(file, os.fstat(descriptor))
        token = os.read(descriptor, _LONGEST).decode().strip()
    except UnicodeDecodeError:
        token = ""
    finally:
        os.close(descriptor)
    if not token.isascii() or not token.isprintable() or not token:
        raise ReadTokenUnavailable(f"{file} has no token; delete it, so that the next start makes a new one")
    return token


def _check_owner(file: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise ReadTokenUnavailable(f"{file} is not a file of this user; delete it, or {_INSTEAD}")
    if status.st_mode & _OTHERS:
        raise ReadTokenUnavailable(f"other users can open {file}; delete it, so that the next start makes a new one")


def _make(file: Path) -> bool:
    """Make a token, unless another process has just made one. Return whether this call made it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # The file gets its name only once it is complete. Only this user may open it.
        descriptor, written = tempfile.mkstemp(prefix=f".{_NAME}-", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                opened.write(f"{secrets.token_urlsafe(_BYTES)}\n")
                opened.flush()
                os.fsync(descriptor)
            file.hardlink_to(written)
        finally:
            Path(written).unlink()
    except FileExistsError:
        return False
    except OSError as error:
        raise ReadTokenUnavailable(f"cannot make {file}: {error.strerror}; {_INSTEAD}") from error
    return True

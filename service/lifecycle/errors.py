"""Errors in statements about experiments."""


class LifecycleError(Exception):
    """A statement about an experiment is invalid."""


class BadReference(LifecycleError):
    """A text is not a reference to a subject; expected a form such as `github:acme/app#45`."""


class UnknownSubject(LifecycleError):
    """No delivery has named the subject; the message names the subject."""


class UnreadableEvent(LifecycleError):
    """A stored lifecycle event cannot be read; a newer version of loopgauge wrote it."""


class UnknownTeam(LifecycleError):
    """No experiment belongs to this team."""

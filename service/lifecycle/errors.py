"""Errors in statements about experiments."""


class LifecycleError(Exception):
    """A statement about an experiment is invalid."""


class BadReference(LifecycleError):
    """A text is not a reference to a subject; expected a form such as `github:acme/app#45`."""


class UnknownSubject(LifecycleError):
    """Nothing is stored about the subject, or the subject is not an experiment; the message says which."""


class UnreadableEvent(LifecycleError):
    """A stored lifecycle event cannot be read; a newer version of loopgauge wrote it."""


class UnknownTeam(LifecycleError):
    """No experiment belongs to this team."""

"""Errors about bad references, missing subjects and teams, and stored events that cannot be read."""


class LifecycleError(Exception):
    """The base class of the errors in this module. A command that raises such an error prints the error's message."""


class BadReference(LifecycleError):
    """A text is not a reference to a subject; expected a form such as `github:acme/app#45`."""


class UnknownSubject(LifecycleError):
    """Nothing is stored about the subject, or the subject is not an experiment; the message says which."""


class UnreadableEvent(LifecycleError):
    """A stored lifecycle event cannot be read; a newer version of loopgauge wrote it."""


class UnknownTeam(LifecycleError):
    """The team has no row in the metrics: it has no experiment, or the row `_other` contains its experiments."""

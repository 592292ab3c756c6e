"""What can be wrong with a statement about an experiment."""


class LifecycleError(Exception):
    """A statement about an experiment cannot be understood."""


class BadReference(LifecycleError):
    """A reference does not name a subject; expected a form such as `github:acme/app#45`."""


class UnknownSubject(LifecycleError):
    """Nothing is known of the subject; the message says what was looked for."""


class UnreadableEvent(LifecycleError):
    """A stored lifecycle event cannot be read; it was written by a newer version of loopgauge."""


class UnknownTeam(LifecycleError):
    """No experiment belongs to this team."""

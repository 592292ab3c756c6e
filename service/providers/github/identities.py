"""The ids of repositories. An id stays when a repository is renamed or transferred."""

from datetime import datetime

from service.deliveries.identities import identify, site_of
from service.deliveries.observation import Identified
from service.lifecycle.references import project
from service.providers.github.payloads import HeadRepository, PushedRepository, Repository


def identified(
    repository: Repository | HeadRepository | PushedRepository | None, at: datetime, page: str = ""
) -> list[Identified]:
    """The statement that a repository's name has an id.

    Args:
        at: the newest time in the payload: the repository has the name at this time.
        page: the address of a page of the same site, for a payload without the repository's own address.
    """
    if repository is None or not repository.full_name:
        return []
    site = site_of(repository.html_url) or site_of(page)
    return identify(project("github", repository.full_name), site, repository.id, at)

"""Sign posts as each tool does."""

import base64
import hmac
from collections.abc import Callable, Mapping

from service.demo.post import Post

PROOFS: Mapping[str, Callable[[str, bytes], tuple[str, str]]] = {
    "github": lambda secret, body: ("x-hub-signature-256", f"sha256={_hmac(secret, body)}"),
    "jira": lambda secret, body: ("x-hub-signature", f"sha256={_hmac(secret, body)}"),
    "gitlab": lambda secret, _: ("x-gitlab-token", secret),
    "circleci": lambda secret, body: ("circleci-signature", f"v1={_hmac(secret, body)}"),
    "buildkite": lambda secret, _: ("x-buildkite-token", secret),
    "jenkins": lambda secret, _: ("authorization", "Basic " + base64.b64encode(f"demo:{secret}".encode()).decode()),
}
"""For each source, a function that makes the header that proves the sender, as name and value, from secret and body."""


def signed(post: Post, secrets: Mapping[str, str]) -> dict[str, str]:
    """The headers of a post, with its signature.

    Args:
        secrets: the secret of each source.
    """
    secret = secrets[post.source][::-1] if post.forged else secrets[post.source]
    name, proof = PROOFS[post.source](secret, post.body)
    return {"content-type": "application/json", **post.named, name: proof}


def _hmac(secret: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()

"""`GET /sign-in`: signs a browser in with the link that the service printed, as Jupyter does."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse

from service.api.http.paths import climb
from service.api.http.problems import TokenNotConfigured, TokenRefused, describe_problems
from service.api.http.sign_in_cookie import SignInCookie

PATH = "/sign-in"
_TOKEN = Query(description="The read token.", examples=["the token in the link that `loopgauge sign-in` prints"])


def build_router(cookie: SignInCookie | None, root_path: str) -> APIRouter:
    """Build the route that signs a browser in.

    Args:
        cookie: issues the cookie; None if no read token is configured.
        root_path: the prefix under which a proxy serves the service; empty if there is none.
    """
    routes = APIRouter(tags=["home"])

    @routes.get(
        PATH,
        summary="Sign a browser in, and redirect to the home page",
        status_code=303,
        response_class=RedirectResponse,
        responses={
            303: {
                "description": "The browser is signed in.",
                "headers": {name: {"schema": {"type": "string"}} for name in ("Location", "Set-Cookie")},
                "content": {},
            },
            **describe_problems(TokenRefused, TokenNotConfigured),
        },
    )
    async def sign_in(request: Request, token: Annotated[str, _TOKEN] = "") -> RedirectResponse:
        """Open the link that `loopgauge sign-in` prints. The answer sets a cookie, with which the browser may read for
        30 days. The redirect takes the token out of the address bar. The cookie does not allow writes.
        """
        if cookie is None:
            raise TokenNotConfigured("set LOOPGAUGE_API_TOKENS__READ to sign in with its token")
        if not cookie.admits(token):
            raise TokenRefused("the service does not have this read token; open the link that loopgauge sign-in prints")
        # A relative address also leads home behind a proxy whose prefix is not configured.
        home = f"{root_path}/" if root_path else climb(request) or "./"
        response = RedirectResponse(home, HTTPStatus.SEE_OTHER)
        # If several proxies forwarded the request, the browser spoke to the first one.
        scheme = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
        cookie.issue(response, secure=scheme.lower() == "https")
        return response

    return routes

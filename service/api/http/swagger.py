"""`GET /docs`: Swagger UI. loopgauge serves the files of Swagger UI itself, so that browsers load nothing from a
CDN.
"""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from service.api.http.paths import climb

# Allow images from data URLs, because the style sheet embeds its images as data URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>loopgauge</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{climb}docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{climb}docs/swagger-ui-bundle.js"></script>
<script src="{climb}docs/start.js"></script>
</body>
</html>
"""
# Serve this script as a separate file, because the content security policy forbids inline scripts.
_START = """SwaggerUIBundle({
  url: new URL("../openapi.json", document.currentScript.src).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
"""
_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
# Let browsers cache the files for an hour, because the files change only with a release of loopgauge.
_CACHED = {"cache-control": "public, max-age=3600"}


def build_router() -> APIRouter:
    """Build the routes of the Swagger UI page and its files."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(_PAGE.format(climb=climb(request)), headers={"content-security-policy": _POLICY})

    @routes.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, media_type="text/javascript", headers=_CACHED)

    for name, media_type in _FILES.items():
        routes.add_api_route(f"/docs/{name}", _file_endpoint(name, media_type), methods=["GET"])
    return routes


def _file_endpoint(name: str, media_type: str) -> Callable[[], Awaitable[FileResponse]]:
    path = Path(str(files("fastapi_offline") / "static" / name))

    async def file() -> FileResponse:
        return FileResponse(path, media_type=media_type, headers=_CACHED)

    return file

"""HTML pages for people, with one small style sheet for light and dark, and without scripts."""

from base64 import b64encode
from hashlib import sha256
from html import escape

from starlette.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 42rem; margin: 0 auto; padding: 1.5rem; font: 1rem/1.5 system-ui, sans-serif;
  color: #1b1f24; background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; }
a { color: #0550ae; }
dt { margin-top: 1rem; font-weight: 600; }
dd { margin: 0; }
code, pre { font: .9em/1.5 ui-monospace, monospace; background: #eef1f4; border-radius: .25rem; }
code { padding: .1em .3em; }
pre { padding: .75rem; white-space: pre-wrap; }
.table { font-size: .8em; white-space: pre; overflow-x: auto; }
.status { padding: .5rem .75rem; border-left: .25rem solid; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e9ed; background: #14171b; }
  a { color: #7ab7ff; }
  code, pre { background: #252a31; }
}
"""
# The hash allows exactly this style sheet. Allow images from data URLs for the empty icon.
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """An HTML page.

    Args:
        title: plain text for the title and the heading.
        body: HTML. The caller escapes all text in it that comes from outside.
    """
    document = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{body}
</main>
</body>
</html>
"""
    return HTMLResponse(document, status, {"content-security-policy": _POLICY})

"""`/docs`: a page to read and try the API, Swagger UI, served from here: it loads nothing from elsewhere."""

from importlib.resources import files
from typing import Final, Literal

from fastapi import APIRouter, Response

from api.routes.openapi import Answer, described

router = APIRouter()

_TYPES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"]
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DAY: Final = "public, max-age=86400"
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Respool: the API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: '/openapi.json', dom_id: '#docs', deepLinking: true, displayRequestDuration: true, validatorUrl: null,
})
"""


_HTML: Final = Answer(
    "A page to read and try the API.", "text/html", {"schema": {"type": "string"}}, ("Content-Security-Policy",)
)


@router.get("/docs", **described({200: _HTML}))
async def page() -> Response:
    """The page. It runs no script but ours and Swagger UI's."""
    return Response(
        _PAGE, media_type="text/html", headers={"content-security-policy": _CSP, "cache-control": "no-store"}
    )


@router.get("/docs/start.js", include_in_schema=False)
async def start() -> Response:
    """A file of its own: the page allows no inline script."""
    return Response(_START, media_type="text/javascript", headers={"cache-control": "no-store"})


@router.get("/docs/{name}", include_in_schema=False)
async def asset(name: Asset) -> Response:
    """A file of Swagger UI's distribution, out of the package that carries it."""
    content = files("fastapi_swagger.resources").joinpath(name).read_bytes()
    return Response(content, media_type=_TYPES[name], headers={"cache-control": _DAY})

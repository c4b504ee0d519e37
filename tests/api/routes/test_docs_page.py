"""The page to read and try the API."""

import re

from tests.api.in_process import Api


def test_the_description_and_its_page_are_served(api: Api) -> None:
    description = api.get("/openapi.json")
    assert description.shown["openapi"].startswith("3.")
    page, start = api.get("/docs"), api.get("/docs/start.js")
    for answer in (page, start):
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.body.startswith(b"<!doctype html>")
    assert page.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert start.headers["content-type"] == "text/javascript; charset=utf-8"
    assert start.body.startswith(b"SwaggerUIBundle({")
    for name in set(re.findall(rb'(?:href|src)="([^"]+)"', page.body)) - {b"/docs/start.js"}:
        asset = api.get(name.decode())
        assert (asset.status, asset.headers["cache-control"]) == (200, "public, max-age=86400")
    types = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon-32x32.png": "image/png"}
    for name, type_ in types.items():
        assert api.get(f"/docs/{name}").headers["content-type"].partition(";")[0] == type_
    assert api.get("/docs/other.js").code == (422, "invalid_request")
    (answer,) = [
        each for status, each in description.json["paths"]["/docs"]["get"]["responses"].items() if status == "200"
    ]
    assert answer["content"] == {"text/html": {"schema": {"type": "string"}}}
    assert answer["description"] == "A page to read and try the API."
    assert "Content-Security-Policy" in answer["headers"]

"""Web pages out of a package: files in memory, sent with headers that let nothing foreign run or load."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SHARED = Path(__file__).parent / "page"
"""What all pages have in common: colours, type, the building of elements."""

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No text can become markup by any property or method, whatever a script of ours does wrong.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class PageFile:
    body: bytes
    media_type: str
    tag: str

    @classmethod
    def read(cls, path: Path) -> "PageFile":
        body = path.read_bytes()
        return cls(body, TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:24]}"')

    def response(self, request: Request) -> Response:
        """Without the body where the browser has it already."""
        headers = {**HEADERS, "ETag": self.tag}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type=self.media_type)


def page_routes(folder: Path, entries: Mapping[str, str]) -> Iterable[Route]:
    """Routes of a page: `/page/<file>` for each file of `folder` and the shared ones, and its addresses.

    Args:
        entries: paths to names of files, as `/` to `index.html`.
    """
    files = {path.name: PageFile.read(path) for path in (*SHARED.iterdir(), *folder.iterdir())}
    paths = {f"/page/{name}": file for name, file in files.items()} | {
        path: files[name] for path, name in entries.items()
    }
    return [_route(path, file) for path, file in paths.items()]


def _route(path: str, file: PageFile) -> Route:
    async def send(request: Request) -> Response:
        return file.response(request)

    return Route(path, send, methods=["GET"], include_in_schema=False)

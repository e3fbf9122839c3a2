"""Probes and metrics as routes of a FastAPI app, for workers that serve more than these."""

from fastapi import FastAPI, Request
from fastapi.responses import Response

from workers.shell.http import METRICS_TYPE, Page, Ready, probe


def install_probes(app: FastAPI, ready: Ready, metrics: Page) -> None:
    @app.get("/healthz", include_in_schema=False)
    @app.get("/readyz", include_in_schema=False)
    async def probes(request: Request) -> Response:
        status, body = probe(request.url.path, ready)
        return Response(body, status, media_type="application/json")

    @app.get("/metrics", include_in_schema=False)
    async def scraped() -> Response:
        return Response(metrics(), media_type=METRICS_TYPE)

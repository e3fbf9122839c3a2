"""The page at `/` for the person who asks, and what it asks beside the answers' own API."""

from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from bus.place import Place
from workers.bridge.api import Door
from workers.bridge.requests import caller_of
from workers.shell.pages import page_routes

FOLDER = Path(__file__).parent / "page"


class Session(BaseModel):
    """What a key opens: asked by the page before the first question."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    models: tuple[str, ...]
    samples: tuple[str, ...] = Field(description="questions to begin with")


class Places(BaseModel):
    model_config = ConfigDict(frozen=True)

    places: tuple[Place, ...] = Field(description="stages that the query is at; none between two of them")


def install(app: FastAPI, door: Door) -> None:
    routes = APIRouter(prefix="/v1", tags=["page"])

    @routes.get("/session", response_model=Session, summary="What this key opens")
    async def session(request: Request) -> Session:
        caller = caller_of(request, door.tenants)
        samples = (text.strip() for text in door.settings.sample_questions.split("|"))
        return Session(
            tenant=caller.tenant,
            models=tuple(name.strip() for name in door.settings.models.split(",")),
            samples=tuple(filter(None, samples)),
        )

    @routes.get("/answers/{query_id}/place", response_model=Places, summary="Where a question waits")
    async def place(request: Request, query_id: str) -> Places:
        """How many others stand before it in the queue that it waits in, counted by now."""
        tenant = caller_of(request, door.tenants).tenant
        held = await door.answers.resume(tenant, query_id)
        return Places(places=await door.answers.places(held))

    app.include_router(routes)
    app.router.routes.extend(page_routes(FOLDER, {"/": "index.html"}))

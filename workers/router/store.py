"""The artefact in a NATS object store: put by training, followed by each router."""

from collections.abc import AsyncIterator

import structlog
from nats.js import JetStreamContext
from nats.js.api import ObjectMeta
from nats.js.errors import ObjectNotFoundError
from nats.js.object_store import ObjectStore

from workers.router import artefact
from workers.router.artefact import ArtefactRefused
from workers.router.model import RouterModel

NAME = "router-model"
log = structlog.get_logger(__name__)


async def put(js: JetStreamContext, model: RouterModel, *, bucket: str) -> None:
    """Replace the artefact; routers that follow it change over within moments."""
    store = await js.object_store(bucket)
    await store.put(NAME, artefact.dump(model), meta=ObjectMeta(name=NAME, description=model.version))


async def latest(js: JetStreamContext, *, bucket: str) -> RouterModel | None:
    """The artefact as it stands, None when none was ever put.

    Raises:
        ArtefactRefused: what lies there can't be used.
    """
    return await _read(await js.object_store(bucket))


async def watch(js: JetStreamContext, *, bucket: str) -> AsyncIterator[RouterModel]:
    """The artefact as it stands, if there is one, then each that follows it. Never ends by itself.

    One that is refused is logged and passed over: the router goes on with the model it has.
    """
    store = await js.object_store(bucket)
    watcher = await store.watch()
    try:
        async for change in watcher:
            if change is None or change.name != NAME or change.deleted:
                continue
            try:
                model = await _read(store)
            except ArtefactRefused as refused:
                log.warning(
                    "router.artefact_refused",
                    action="keep the model in use; train again",
                    reason=str(refused),
                )
                continue
            if model is not None:
                yield model
    finally:
        await watcher.stop()  # type: ignore[no-untyped-call]


async def _read(store: ObjectStore) -> RouterModel | None:
    try:
        found = await store.get(NAME)
    except ObjectNotFoundError:
        return None
    return artefact.load(found.data or b"")

import json
from pathlib import Path

from nats.aio.msg import Msg
from rich.console import Console

from askfleet.local.state import StateFolder
from askfleet.sources.session import Task, ZendeskChoice, run
from askfleet.sources.sync import Order, Report
from bus import subjects
from bus.connection import Bus
from bus.documents import report_outcome
from bus.settings import BusSettings
from contracts.codec import decode
from contracts.document import Document, Outcome


async def test_an_export_travels_over_the_queue_once_and_its_deletions_too(
    bus: Bus, bus_settings: BusSettings, tmp_path: Path
):
    received: list[Document] = []

    async def work(message: Msg) -> None:
        document = decode(Document, message.data)
        received.append(document)
        status = "deleted" if document.action == "delete" else "indexed"
        await report_outcome(bus, "acme", Outcome(document_id=document.id, status=status, chunks=1))

    await bus.nc.subscribe(subjects.ingest("acme"), cb=work)
    path = tmp_path / "tickets.json"

    async def ingest(*tickets: dict[str, object]) -> Report:
        path.write_text(json.dumps({"tickets": list(tickets)}))
        task = Task(str(path), "acme", 100, ZendeskChoice())
        state = StateFolder(tmp_path / "state")
        return await run(task, Order(), state=state, settings=bus_settings, console=Console(quiet=True))

    one, two = {"id": 1, "subject": "A", "status": "open"}, {"id": 2, "subject": "B", "status": "open"}
    assert (await ingest(one, two)).sent.indexed == 2
    assert (await ingest(one, two)).sent.unchanged == 2
    gone = await ingest(one, {**two, "status": "deleted"})
    assert (gone.complete, gone.sent.deleted, gone.sent.unchanged) == (True, 1, 1)
    names = [(document.action, document.id.rpartition("/")[2]) for document in received]
    assert names == [("upsert", "1"), ("upsert", "2"), ("delete", "2")]

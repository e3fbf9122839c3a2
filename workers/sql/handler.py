"""The SQL worker's handler, free of the bus."""

from contracts.event import Rows
from contracts.job import EvidenceJob
from workers.catalogue.linking import SchemaIndex
from workers.sql.agent import DEFAULT_CANDIDATES, DEFAULT_ROW_LIMIT, answer
from workers.sql.candidates import Engine
from workers.sql.database import Database


async def handle(
    job: EvidenceJob,
    *,
    tenant: str,
    database: Database,
    index: SchemaIndex,
    engine: Engine | None = None,
    row_limit: int = DEFAULT_ROW_LIMIT,
    candidates: int = DEFAULT_CANDIDATES,
) -> Rows:
    """Answer the job's question from the tenant's database.

    May run twice: when the worker dies or the acknowledgement is lost, the job comes again. It only reads,
    in a READ ONLY transaction, so a second run changes nothing; its rows may differ if the data has
    changed, and the answer log keeps the first ones.
    """
    marked = database.marked(job.query_id)
    return await answer(
        job.question,
        database=marked,
        index=index,
        engine=engine,
        tenant=tenant,
        row_limit=row_limit,
        candidates=candidates,
    )

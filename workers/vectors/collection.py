"""Creates the collection.

Synchronous: pymilvus' asynchronous client makes indexes with a call that Milvus Lite does not have.
"""

from collections.abc import Callable

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from contracts.errors import SchemaChanged
from workers.vectors.schema import collection_schema, index_params
from workers.vectors.settings import VectorSettings


def ensure(client: MilvusClient, settings: VectorSettings, dimension: int) -> None:
    """Idempotent; each step bears that another process does it first.

    Raises: SchemaChanged: there is one whose vectors have another dimension.
    """
    name = settings.collection
    _unless(lambda: bool(client.has_collection(name)), lambda: _create(client, settings, dimension))
    _check_shape(client, name, dimension)
    for index in index_params():
        field = index.field_name
        single = MilvusClient.prepare_index_params()
        single.append(index)

        def present(field: str = field) -> bool:
            return bool(client.list_indexes(name, field_name=field))

        def make(single: object = single) -> None:
            # Loading waits for the index; without `sync=False` pymilvus sleeps half a second here.
            client.create_index(name, single, sync=False)

        _unless(present, make)
    client.load_collection(name)


def _create(client: MilvusClient, settings: VectorSettings, dimension: int) -> None:
    client.create_collection(
        settings.collection,
        schema=collection_schema(dimension),
        num_partitions=settings.partitions,
        consistency_level="Bounded",
    )


def _unless(there: Callable[[], bool], make: Callable[[], None]) -> None:
    if there():
        return
    try:
        make()
    except MilvusException:
        if not there():
            raise


def _check_shape(client: MilvusClient, name: str, dimension: int) -> None:
    fields = {field["name"]: field for field in client.describe_collection(name)["fields"]}
    dense = fields.get("dense")
    found = int(dense["params"]["dim"]) if dense else None
    if found != dimension or "search_text" not in fields:
        raise SchemaChanged(
            f"The collection {name!r} has vectors of {found} numbers; the embedding model makes {dimension}.",
            remedy="Set AF_MILVUS_COLLECTION to a new name and ingest the documents again, or use the model "
            "that it was made with.",
        )

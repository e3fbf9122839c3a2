"""The collection: one for all tenants, the tenant as partition key, BM25 made by Milvus itself."""

from pymilvus import CollectionSchema, DataType, Function, FunctionType, MilvusClient
from pymilvus.milvus_client import IndexParams

from workers.vectors.stop_words import STOP_WORDS

ID_BYTES = 2_048
LINE_BYTES = 2_048
HEADINGS_BYTES = 8_192
TEXT_BYTES = 65_535
HASH_BYTES = 128

_ANALYZER = {
    "tokenizer": "standard",
    "filter": ["lowercase", {"type": "stop", "stop_words": sorted(STOP_WORDS)}],
}


def collection_schema(dimension: int) -> CollectionSchema:
    schema = MilvusClient.create_schema(enable_dynamic_field=False)
    # Primary keys are unique over all tenants, so the tenant is part of them.
    schema.add_field("pk", DataType.VARCHAR, max_length=ID_BYTES + 65, is_primary=True)
    schema.add_field("tenant", DataType.VARCHAR, max_length=64, is_partition_key=True)
    schema.add_field("document_id", DataType.VARCHAR, max_length=ID_BYTES)
    schema.add_field("content_hash", DataType.VARCHAR, max_length=HASH_BYTES)
    # How many chunks the document has: fewer present means that writing them was cut off.
    schema.add_field("chunk_count", DataType.INT64)
    schema.add_field("title", DataType.VARCHAR, max_length=LINE_BYTES)
    schema.add_field("headings", DataType.VARCHAR, max_length=HEADINGS_BYTES)
    schema.add_field("source", DataType.VARCHAR, max_length=ID_BYTES)
    schema.add_field("text", DataType.VARCHAR, max_length=TEXT_BYTES)
    schema.add_field(
        "search_text",
        DataType.VARCHAR,
        max_length=TEXT_BYTES,
        enable_analyzer=True,
        analyzer_params=_ANALYZER,
    )
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=dimension)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    bm25 = Function(
        name="bm25",
        function_type=FunctionType.BM25,
        input_field_names=["search_text"],
        output_field_names=["sparse"],
    )
    schema.add_function(bm25)
    return schema


def index_params() -> IndexParams:
    params = MilvusClient.prepare_index_params()
    params.add_index("dense", index_type="AUTOINDEX", metric_type="COSINE")
    # Stated, because the two servers have other defaults and the ranking counts on the scale of the scores.
    params.add_index(
        "sparse",
        index_type="SPARSE_INVERTED_INDEX",
        metric_type="BM25",
        params={"bm25_k1": 1.5, "bm25_b": 0.75},
    )
    return params

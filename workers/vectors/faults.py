"""What pymilvus and gRPC raise, as our errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from pymilvus.exceptions import MilvusException, ParamError

from contracts.errors import AskfleetError, DependencyUnavailable, PermanentError, SchemaChanged

_NOT_FOUND = {4, 100}
_NOT_LOADED = {101}
_ILLEGAL = {6, 1100}
_DEPENDENCY = "Check that Milvus runs and that AF_MILVUS_URI points to it."


class NotLoaded(DependencyUnavailable):
    """The collection is there but not in memory, as after a restart of the server."""


@contextmanager
def translated(uri: str, collection: str) -> Iterator[None]:
    try:
        yield
    except MilvusException as error:
        raise _typed(error, uri, collection) from error
    except (TimeoutError, grpc.RpcError, OSError) as error:
        detail = f"Milvus at {uri} does not answer: {type(error).__name__} {error}"
        raise DependencyUnavailable(detail[:300], remedy=_DEPENDENCY) from error


def _typed(error: MilvusException, uri: str, collection: str) -> AskfleetError:
    codes = {error.code, error.compatible_code}
    if codes & _NOT_FOUND:
        return SchemaChanged(
            f"The collection {collection!r} is not in Milvus at {uri}.",
            remedy="Restart the ingest worker, which creates it, and ingest the documents again.",
        )
    if codes & _NOT_LOADED:
        return NotLoaded(f"The collection {collection!r} is not loaded in Milvus at {uri}.")
    if isinstance(error, ParamError) or error.is_input_error or codes & _ILLEGAL:
        return PermanentError(f"Milvus refuses the request: {error.message}.")
    return DependencyUnavailable(f"Milvus at {uri}: {error.message}"[:300], remedy=_DEPENDENCY)

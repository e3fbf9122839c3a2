"""Filter expressions of Milvus. The only place where one is put together."""

import re
from collections.abc import Mapping, Sequence

from contracts.errors import InvalidName

_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def of_tenant(tenant: str) -> str:
    """Raises: InvalidName: the tenant is not a subject token."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidName(f"{tenant!r} is not a tenant.")
    return f"tenant == {literal(tenant)}"


def of_documents(tenant: str, document_ids: Sequence[str]) -> str:
    ids = ", ".join(literal(document_id) for document_id in document_ids)
    return f"{of_tenant(tenant)} and document_id in [{ids}]"


def of_other_contents(tenant: str, hashes: Mapping[str, str]) -> str:
    """Chunks of earlier states of documents; `hashes` holds the content hash of each as it is now."""
    states = " or ".join(
        f"(document_id == {literal(document_id)} and content_hash != {literal(content_hash)})"
        for document_id, content_hash in hashes.items()
    )
    return f"{of_tenant(tenant)} and ({states})"


def literal(value: str) -> str:
    """A string literal. Templates would do as well, but Milvus Lite does not know them."""
    if _CONTROL.search(value):
        remedy = "Leave control characters out of it."
        raise InvalidName(f"{value!r} can't be used as an id.", remedy=remedy)
    return f'"{value.translate(_ESCAPES)}"'

"""Filter expressions of Milvus. The only place where one is put together."""

import re
from collections.abc import Sequence

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


def of_other_content(tenant: str, document_id: str, content_hash: str) -> str:
    """Chunks of earlier states of the document."""
    return f"{of_documents(tenant, [document_id])} and content_hash != {literal(content_hash)}"


def literal(value: str) -> str:
    """A string literal. Templates would do as well, but Milvus Lite does not know them."""
    if _CONTROL.search(value):
        remedy = "Leave control characters out of it."
        raise InvalidName(f"{value!r} can't be used as an id.", remedy=remedy)
    return f'"{value.translate(_ESCAPES)}"'

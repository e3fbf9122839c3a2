"""A connection for a role that may not call `set_config`."""

from typing import Any

import asyncpg


class ReaderConnection(asyncpg.Connection):
    """Leaves the JIT setting alone while asyncpg reads the shape of a type.

    asyncpg switches JIT off with `set_config` before it looks up an enum or array type. The reader role is
    denied that function, for with it a statement could change the tenant that row-level security sees.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._server_caps = self._server_caps._replace(jit=False)  # type: ignore[has-type]

"""A connection for a role that may not call `set_config`."""

from typing import Any

import asyncpg

RESET = "select pg_advisory_unlock_all(); close all; unlisten *; reset all"
"""What a statement could have left behind in its session."""


class ReaderConnection(asyncpg.Connection):
    """Leaves the JIT setting alone while asyncpg reads the shape of a type; resets with its transaction.

    asyncpg switches JIT off with `set_config` before it looks up an enum or array type. The reader role is
    denied that function, for with it a statement could change the tenant that row-level security sees.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._server_caps = self._server_caps._replace(jit=False)  # type: ignore[has-type]

    def get_reset_query(self) -> str:
        """Nothing more: who ends a transaction sends `RESET` with it."""
        return ""

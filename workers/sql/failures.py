"""How a statement can fail that passed the guard.

PermanentError
├── StatementTimeout   it ran longer than `statement_timeout_s`
└── StatementFailed    the database refused it (a type error, a division by zero); worth one repair
"""

from contracts.errors import PermanentError


class StatementTimeout(PermanentError):
    code = "statement-timeout"
    title = "The SQL statement took too long"
    remedy = "Ask for less (a shorter period, one customer), or raise AF_STATEMENT_TIMEOUT_S."


class StatementFailed(PermanentError):
    code = "statement-failed"
    title = "The database refused the SQL statement"
    remedy = "Ask the question in other words."

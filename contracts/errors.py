"""What can go wrong, and what the bus does about it.

AskfleetError
├── TransientError              nak with a growing delay; permanent after max_deliver - 1 attempts
│   ├── DependencyUnavailable   a database, vector store or engine does not answer
│   ├── PermissionDenied        NATS denies this process a subject; other credentials may hold the right
│   └── Refused                 nothing was stored; come again after `retry_after_s`
│       ├── QueueFull           the stream refused the publish; over HTTP 429 with Retry-After
│       ├── RateLimited         over HTTP only: 429, the key's own limit is reached
│       └── Draining            over HTTP only: 503, this replica is about to stop
├── PermanentError              failed on the log, a copy in the DLQ, term
│   ├── DecodeError             the body is not what its schema says
│   ├── UnsupportedSchema       a schema version that this release does not know
│   ├── InvalidName             a tenant, id or model that is not a subject token
│   ├── InvalidQuery            a question or an option out of bounds
│   ├── UnknownTenant           no such tenant in the tenants file
│   ├── InvalidDocument         a document that can't be read
│   ├── StatementRefused        SQL that the guard does not let through
│   ├── SchemaChanged           a table, column or collection that is gone
│   └── ContextOverflow         a prompt that can't be made to fit the model
├── DeadlineExceeded            failed on the log, ack; nothing is wrong with the message
├── AnswerEnded                 a terminal event stands already: ack, nothing to do
├── Fenced                      another attempt owns the answer: neither ack nor nak, stop
├── Unauthorized                over HTTP only: 401
├── AnswerNotFound              over HTTP only: 404
└── Misconfigured               the process can't start: exit 2
"""

from pydantic import BaseModel, ConfigDict, Field


class Problem(BaseModel):
    """An error as RFC 9457 "problem details", on the log and over HTTP."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="urn:askfleet:problem:<code>")
    title: str
    status: int = Field(description="HTTP status that fits the problem")
    detail: str = Field(description="what happened, with the offending value")
    code: str
    remedy: str = Field(description="what the reader can do about it")
    retryable: bool = False


class AskfleetError(Exception):
    """Root of all errors of ours; `detail` names the value, `remedy` says what to do."""

    code = "internal"
    title = "Internal error"
    status = 500
    remedy = "Look up the trace id in the logs of the worker."
    retryable = False

    def __init__(self, detail: str, *, remedy: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if remedy is not None:
            self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.detail} {self.remedy}"

    def problem(self) -> Problem:
        return Problem(
            type=f"urn:askfleet:problem:{self.code}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            code=self.code,
            remedy=self.remedy,
            retryable=self.retryable,
        )


class TransientError(AskfleetError):
    code = "transient"
    title = "Temporarily unavailable"
    status = 503
    remedy = "Try again in a few seconds."
    retryable = True


class DependencyUnavailable(TransientError):
    code = "dependency-unavailable"
    title = "A service that the answer needs does not respond"


class PermissionDenied(TransientError):
    code = "permission-denied"
    title = "The NATS credentials do not allow this"
    remedy = "Use the credentials of the role that may do it; docs/security.md lists the roles."


class Refused(TransientError):
    """Nothing was stored; `retry_after_s` says when it may go better."""

    code = "refused"
    title = "Not now"

    def __init__(self, detail: str, *, retry_after_s: float = 5.0, remedy: str | None = None) -> None:
        super().__init__(detail, remedy=remedy or f"Send it again in {retry_after_s:.0f} s.")
        self.retry_after_s = retry_after_s


class QueueFull(Refused):
    code = "queue-full"
    title = "The queue is full"
    status = 429


class RateLimited(Refused):
    code = "rate-limited"
    title = "The limit of this API key is reached"
    status = 429


class Draining(Refused):
    code = "draining"
    title = "This replica is about to stop"
    status = 503


class PermanentError(AskfleetError):
    code = "permanent"
    title = "The request can't be served"
    status = 422
    remedy = "Correct the request; repeating it gives the same error."


class DecodeError(PermanentError):
    """Carries the body as it came, for the DLQ."""

    code = "undecodable"
    title = "The message can't be read"
    status = 400
    remedy = "Compare the body with its JSON Schema in docs/contracts/."

    def __init__(self, detail: str, *, raw: bytes, remedy: str | None = None) -> None:
        super().__init__(detail, remedy=remedy)
        self.raw = raw


class UnsupportedSchema(DecodeError):
    code = "unsupported-schema"
    title = "Unknown schema version"
    remedy = "Set the Af-Schema header to a version listed in docs/contracts/."


class InvalidName(PermanentError):
    code = "invalid-name"
    title = "Not a valid name"
    status = 400
    remedy = "Use 1 to 64 characters out of letters, digits, '-' and '_'."


class InvalidQuery(PermanentError):
    code = "invalid-query"
    title = "The query is not valid"
    status = 400


class UnknownTenant(PermanentError):
    code = "unknown-tenant"
    title = "Unknown tenant"
    status = 403
    remedy = "Add the tenant to the tenants file, or publish under a tenant that is in it."


class InvalidDocument(PermanentError):
    code = "invalid-document"
    title = "The document can't be read"
    remedy = "Open the file with its own program; export it again if that fails too."


class StatementRefused(PermanentError):
    code = "statement-refused"
    title = "The SQL statement is not allowed"
    remedy = "Only a single read-only SELECT over the tables of the semantic model runs."


class SchemaChanged(PermanentError):
    code = "schema-changed"
    title = "A table or collection is no longer there"
    remedy = "Refresh the semantic model, or ingest the documents again."


class ContextOverflow(PermanentError):
    code = "context-overflow"
    title = "The prompt does not fit the model's context"
    remedy = "Ask a shorter question, or give the engine a longer context."


class DeadlineExceeded(AskfleetError):
    code = "deadline-exceeded"
    title = "The deadline has passed"
    status = 504
    remedy = "Ask again with a later Af-Deadline."
    retryable = True


class AnswerEnded(AskfleetError):
    code = "answer-ended"
    title = "The answer has ended"
    status = 409
    remedy = "Nothing to do: read the answer's terminal event."


class Fenced(AskfleetError):
    code = "fenced"
    title = "Another attempt continues this answer"
    status = 409
    remedy = "Nothing to do: the other attempt's events are on the log."


class Unauthorized(AskfleetError):
    code = "unauthorized"
    title = "The API key is missing or not valid"
    status = 401
    remedy = "Send 'Authorization: Bearer <key>' with a key from the tenants file."


class AnswerNotFound(AskfleetError):
    code = "answer-not-found"
    title = "No such answer"
    status = 404
    remedy = "Answers are kept for 15 minutes; ask again."


class Misconfigured(AskfleetError):
    code = "misconfigured"
    title = "The process can't start as it is configured"
    remedy = "Correct the setting and start again."

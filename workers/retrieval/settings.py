"""Settings of the retrieval worker, beside those of the embedder and of the vector store."""

from pydantic import Field

from workers.shell.settings import WorkerSettings


class RetrievalSettings(WorkerSettings):
    """Variables are prefixed with `AF_`."""

    concurrency: int = Field(default=64, ge=1, description="searches worked on at once")

"""Settings of the ingest worker, beside those of the embedder and of the vector store."""

from pydantic import Field

from workers.ingest.chunking import ChunkSizes
from workers.ingest.parsing import Limits
from workers.shell.settings import WorkerSettings


class IngestSettings(WorkerSettings):
    """Variables are prefixed with `AF_`: `AF_CHUNK_TARGET_TOKENS`, `AF_MAX_DOCUMENT_BYTES`, ..."""

    chunk_target_tokens: int = Field(default=180, ge=64, le=4096, description="usual size of a chunk")
    chunk_max_tokens: int = Field(default=240, ge=64, le=4096, description="no chunk is larger")
    chunk_overlap_tokens: int = Field(
        default=24, ge=0, le=512, description="text that two parts of one split block share at most"
    )
    max_document_bytes: int = Field(default=20_000_000, ge=1, description="larger documents are refused")
    pdf_max_pages: int = Field(default=2_000, ge=1, description="longer PDFs are refused")
    pdf_timeout_s: float = Field(default=60.0, gt=0, description="longest time to read one PDF")
    flush_documents: int = Field(
        default=500, ge=1, description="the store is flushed after so many written documents"
    )
    flush_idle_s: float = Field(
        default=1.0, gt=0, description="the store is flushed when nothing was written for so long"
    )

    def chunk_sizes(self) -> ChunkSizes:
        maximum = max(self.chunk_max_tokens, self.chunk_target_tokens)
        overlap = min(self.chunk_overlap_tokens, self.chunk_target_tokens // 4)
        return ChunkSizes(target=self.chunk_target_tokens, maximum=maximum, overlap=overlap)

    def limits(self) -> Limits:
        return Limits(
            max_bytes=self.max_document_bytes,
            pdf_max_pages=self.pdf_max_pages,
            pdf_timeout_s=self.pdf_timeout_s,
        )

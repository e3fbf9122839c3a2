"""Bulk ingestion on Ray Data: what `workers.ingest` does, on many machines (docs/adr/0010)."""

from askfleet.bulk.cluster import check_installed
from askfleet.bulk.job import job_of
from askfleet.bulk.run import ingest_in_bulk
from askfleet.bulk.settings import RaySettings

__all__ = ["RaySettings", "check_installed", "ingest_in_bulk", "job_of"]

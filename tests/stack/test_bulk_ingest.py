"""`askfleet ingest --engine ray`, run as a person runs it: a Ray of its own and a real Milvus Lite server.

What it writes is held against what the handler of the ingest worker writes.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from fpdf import FPDF
from pymilvus import MilvusClient

from askfleet.folder import Folder
from contracts.document import Document
from workers.embedding import EmbedderSettings, open_embedder
from workers.ingest.handler import DocumentLocks, handle
from workers.ingest.settings import IngestSettings
from workers.vectors import VectorSettings, open_store

TENANT = "acme"
FIELDS = ["pk", "tenant", "document_id", "content_hash", "chunk_count"]
FIELDS += ["title", "headings", "source", "text", "search_text"]
DEADLINE_S = 120.0
# In int8 a vector depends a little on the texts that are embedded beside it, on either path.
EXACT = {"AF_EMBEDDER_PRECISION": "float32"}
SUBJECTS = ("pump", "valve", "gear", "belt", "fan", "lamp", "door", "tank")


@pytest.fixture(autouse=True)
def _ray() -> None:
    if find_spec("ray") is None:
        message = "Ray is not installed: `make ray`"
        assert "CI" not in os.environ, message
        pytest.skip(message)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """24 pages, a PDF, a file of JSON lines with one that is none, and a file that can't be read."""
    folder = tmp_path / "corpus"
    for number in range(24):
        page = folder / SUBJECTS[number % len(SUBJECTS)] / f"page-{number}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(number))
    lines = [
        f'{{"id": "{n}", "title": "Ticket {n}", "text": "The {s} rattles."}}' for n, s in enumerate(SUBJECTS)
    ]
    (folder / "tickets.jsonl").write_text("\n".join([*lines, "not a line"]))
    (folder / "broken.pdf").write_bytes(b"no PDF")
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=12)
    pdf.multi_cell(0, text="The manual of the boiler. It holds ninety litres.")
    pdf.output(str(folder / "boiler.pdf"))
    return folder


class Run:
    """The command as a process of its own."""

    def __init__(self, corpus: Path, uri: str, collection: str, *more: str) -> None:
        command = [sys.executable, "-m", "askfleet.main", "ingest", "--engine", "ray", str(corpus)]
        command += ["--tenant", TENANT, "--milvus-uri", uri, "--address", "https://docs/", *more]
        # Ray's sockets lie below, and their paths may have 107 characters: no folder of pytest's.
        self._folder = tempfile.TemporaryDirectory(prefix="r-", ignore_cleanup_errors=True)
        environment = (
            os.environ
            | {"TMPDIR": self._folder.name, "AF_MILVUS_COLLECTION": collection, "AF_RAY_BATCH_DOCUMENTS": "2"}
            | EXACT
        )
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
        )
        self.below = psutil.Process(self._process.pid)

    def said(self) -> str:
        said = self._process.communicate(timeout=DEADLINE_S)[0]
        self._folder.cleanup()
        return said

    def kill(self) -> None:
        """With what it started, as when a machine goes down; Ray alone takes longer to see to that."""
        started = self.below.children(recursive=True)
        self._process.send_signal(signal.SIGKILL)
        for process in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(started, timeout=10)
        self._process.communicate()
        self._folder.cleanup()

    def listening(self) -> set[str]:
        found = set()
        for process in self.below.children(recursive=True):
            try:
                connections = process.net_connections("tcp")
            except psutil.NoSuchProcess:
                continue
            found |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
        return found


@pytest.mark.timeout(300)
def test_a_bulk_run_that_is_killed_goes_on_and_stores_what_the_ingest_worker_stores(
    corpus: Path, milvus_uri: str
) -> None:
    bulk, plain = f"t_{uuid.uuid4().hex}", f"t_{uuid.uuid4().hex}"
    run = Run(corpus, milvus_uri, bulk)
    done = _indexed_before(milvus_uri, bulk, at_least=4)
    assert {address.removeprefix("::ffff:") for address in run.listening()} == {"127.0.0.1"}
    run.kill()

    changed = corpus / done[0]
    changed.write_text("# Changed\n\nIt is blue now.\n")
    said = Run(corpus, milvus_uri, bulk).said()
    assert "2 failed" in said, said
    unchanged = int(said.split(" unchanged")[0].split()[-1])
    assert len(done) - 1 <= unchanged < 33, said
    assert f"{33 - unchanged} indexed" in said.replace("\n", " "), said
    assert "broken.pdf" in said
    assert "tickets.jsonl, line 9" in said

    asyncio.run(_ingest_plainly(corpus, milvus_uri, plain))
    ours, theirs = _rows(milvus_uri, bulk), _rows(milvus_uri, plain)
    assert [[row[name] for name in FIELDS] for row in ours] == [
        [row[name] for name in FIELDS] for row in theirs
    ]
    assert {row["document_id"] for row in ours} >= {"boiler.pdf", "tickets.jsonl#0", done[0]}
    np.testing.assert_allclose([row["dense"] for row in ours], [row["dense"] for row in theirs], atol=1e-5)


def test_without_milvus_it_says_so_before_ray_is_started(corpus: Path) -> None:
    said = Run(corpus, "http://127.0.0.1:9", "t").said()
    assert "error: Milvus at http://127.0.0.1:9" in said
    assert "AF_MILVUS_URI" in said


def test_without_ray_it_says_how_to_install_it(corpus: Path, milvus_uri: str) -> None:
    arguments = ["ingest", "--engine", "ray", str(corpus), "--milvus-uri", milvus_uri]
    # To Python, a package whose entry is None is not there.
    program = f"import sys; sys.modules['ray'] = None; from askfleet.main import main; main({arguments!r})"
    environment = os.environ | {"AF_MILVUS_COLLECTION": f"t_{uuid.uuid4().hex}"}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "make ray" in ended.stderr


def test_ray_client_is_refused_with_the_way_that_works(corpus: Path, milvus_uri: str) -> None:
    run = Run(corpus, milvus_uri, f"t_{uuid.uuid4().hex}", "--ray-address", "ray://127.0.0.1:10001")
    assert "--ray-address auto" in run.said()


def test_a_cluster_that_is_not_there_is_named_at_once(corpus: Path, milvus_uri: str) -> None:
    run = Run(corpus, milvus_uri, f"t_{uuid.uuid4().hex}", "--ray-address", "127.0.0.1:9")
    assert "No Ray cluster answers at 127.0.0.1:9" in run.said()


def _page(number: int) -> str:
    subject = SUBJECTS[number % len(SUBJECTS)]
    parts = [f"# The {subject}, part {number}"]
    for section in range(2):
        sentence = f"Step {section} of {number}: turn the {subject} by {number + section} degrees and wait. "
        parts.append(f"## Step {section}\n\n{sentence * 8}")
    return "\n\n".join(parts)


def _indexed_before(uri: str, collection: str, *, at_least: int) -> list[str]:
    """Ids of the pages that are stored as a whole as soon as there are so many."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        rows = _rows(uri, collection)
        counts = Counter(row["document_id"] for row in rows)
        whole = {row["document_id"] for row in rows if counts[row["document_id"]] == row["chunk_count"]}
        if len(pages := sorted(name for name in whole if name.endswith(".md"))) >= at_least:
            return pages
        time.sleep(0.1)
    raise AssertionError(f"fewer than {at_least} documents within {DEADLINE_S:g} s")


def _rows(uri: str, collection: str) -> list[dict[str, Any]]:
    client = MilvusClient(uri=uri, dedicated=True)
    try:
        if not client.has_collection(collection):
            return []
        client.load_collection(collection)
        expression = f'tenant == "{TENANT}"'
        fields = [*FIELDS, "dense"]
        rows = client.query(
            collection, filter=expression, output_fields=fields, limit=5_000, consistency_level="Strong"
        )
        return sorted(rows, key=lambda row: str(row["pk"]))
    finally:
        client.close()


async def _ingest_plainly(corpus: Path, uri: str, collection: str) -> None:
    embedder = open_embedder(EmbedderSettings(precision="float32"))
    store = open_store(VectorSettings(uri=uri, collection=collection), dimension=embedder.dimension)
    await store.ensure_collection()
    locks, settings = DocumentLocks(), IngestSettings()
    documents = [
        item for item in Folder(corpus, address="https://docs/").documents() if isinstance(item, Document)
    ]
    await asyncio.gather(
        *(
            handle(document, tenant=TENANT, index=store, embedder=embedder, settings=settings, locks=locks)
            for document in documents
        )
    )
    await store.close()
    await embedder.close()

"""`askfleet ingest --engine ray`, run as a person runs it: a Ray of its own and a real Milvus Lite server.

What it writes is held against what the handler of the ingest worker writes.
"""

import asyncio
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

from askfleet.bulk import RaySettings
from askfleet.bulk.cluster import cluster
from askfleet.folder import Folder
from contracts.document import Document
from contracts.errors import AskfleetError
from workers.embedding import EmbedderSettings, open_embedder
from workers.ingest.handler import DocumentLocks, handle
from workers.ingest.settings import IngestSettings
from workers.vectors import VectorSettings, open_store

TENANT = "acme"
FIELDS = ["pk", "tenant", "document_id", "content_hash", "chunk_count"]
FIELDS += ["title", "headings", "source", "text", "search_text"]
DEADLINE_S = 120.0
GONE_WITHIN_S = 15.0
# In int8 a vector depends a little on the texts that are embedded beside it, on either path.
EXACT = {"AF_EMBEDDER_PRECISION": "float32"}
DOCUMENTS = 21
SUBJECTS = ("pump", "valve", "gear", "belt", "fan", "lamp", "door", "tank")


@pytest.fixture(autouse=True)
def _ray() -> None:
    if find_spec("ray") is None:
        message = "Ray is not installed: `make ray`"
        assert "CI" not in os.environ, message
        pytest.skip(message)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """12 pages, a PDF, a file of JSON lines with one that is none, and a file that can't be read."""
    folder = tmp_path / "corpus"
    for number in range(12):
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

    def __init__(self, corpus: Path, uri: str, collection: str, *more: str, cpus: int = 2) -> None:
        command = [sys.executable, "-m", "askfleet.main", "ingest", "--engine", "ray", str(corpus)]
        command += ["--tenant", TENANT, "--milvus-uri", uri, "--address", "https://docs/", *more]
        # Ray's sockets lie below, and their paths may have 107 characters: no folder of pytest's.
        self._folder = tempfile.TemporaryDirectory(prefix="r-", ignore_cleanup_errors=True)
        settings = {"AF_MILVUS_COLLECTION": collection, "AF_RAY_CPUS": str(cpus)}
        settings |= {"AF_RAY_BATCH_DOCUMENTS": "2"} | EXACT
        environment = os.environ | {"TMPDIR": self._folder.name} | settings
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
        )
        self.below = psutil.Process(self._process.pid)

    def said(self) -> str:
        said = self._process.communicate(timeout=DEADLINE_S)[0]
        assert not self._rays_folders(), "Ray's folder is left"
        self._folder.cleanup()
        return said

    def stop(self) -> None:
        """It hands out no more work; what is handed out is done."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> list[str]:
        """The command alone. What is left of its processes and folders soon afterwards."""
        started = self.below.children(recursive=True)
        assert len(started) > 5
        self._process.kill()
        _, left = psutil.wait_procs(started, timeout=GONE_WITHIN_S)
        deadline = time.monotonic() + GONE_WITHIN_S
        while (folders := self._rays_folders()) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._process.communicate(timeout=DEADLINE_S)
        self._folder.cleanup()
        return [*map(str, left), *folders]

    def _rays_folders(self) -> list[str]:
        return [path.name for path in Path(self._folder.name).glob("askfleet-ray-*")]

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
    run = Run(corpus, milvus_uri, bulk, cpus=1)
    done = _indexed_before(milvus_uri, bulk, at_least=2)
    run.stop()
    assert {address.removeprefix("::ffff:") for address in run.listening()} == {"127.0.0.1"}
    assert run.kill() == []

    (corpus / done[0]).unlink()
    (corpus / done[1]).write_text("# Changed\n\nIt is blue now.\n")
    said = Run(corpus, milvus_uri, bulk, "--delete-missing", "--yes").said()
    assert "2 failed" in said, said
    unchanged = int(said.split(" unchanged")[0].split()[-1])
    assert len(done) - 2 <= unchanged < DOCUMENTS - 2, said
    assert f"{DOCUMENTS - 1 - unchanged} indexed" in said.replace("\n", " "), said
    assert "broken.pdf" in said
    assert "tickets.jsonl, line 9" in said
    assert "1 deleted" in said, said

    asyncio.run(_ingest_plainly(corpus, milvus_uri, plain))
    ours, theirs = _rows(milvus_uri, bulk), _rows(milvus_uri, plain)
    assert [[row[name] for name in FIELDS] for row in ours] == [
        [row[name] for name in FIELDS] for row in theirs
    ]
    assert {row["document_id"] for row in ours} >= {"boiler.pdf", "tickets.jsonl#0", done[1]}
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


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://127.0.0.1:10001", "--ray-address auto"),
        ("127.0.0.1:9", "No Ray cluster answers at 127.0.0.1:9"),
    ],
)
def test_an_address_that_can_not_work_is_refused_at_once(address: str, said: str) -> None:
    with pytest.raises(AskfleetError) as refused, cluster(RaySettings(address=address)):
        pass
    problem = refused.value.problem()
    assert said in problem.detail + problem.remedy


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
    client = MilvusClient(uri=uri, dedicated=True)
    try:
        while time.monotonic() < deadline:
            if len(pages := _whole_pages(client, collection)) >= at_least:
                return pages
            time.sleep(0.1)
    finally:
        client.close()
    raise AssertionError(f"fewer than {at_least} documents within {DEADLINE_S:g} s")


def _whole_pages(client: MilvusClient, collection: str) -> list[str]:
    if not client.has_collection(collection):
        return []
    fields = ["document_id", "chunk_count"]
    rows = client.query(
        collection, filter='document_id like "%.md"', output_fields=fields, consistency_level="Strong"
    )
    counts = Counter(row["document_id"] for row in rows)
    return sorted({row["document_id"] for row in rows if counts[row["document_id"]] == row["chunk_count"]})


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

"""Each role on a real nats-server with permissions: what it needs works, what it should not do is denied."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from access import ACME, OTHER, Access, assert_publish_denied, assert_subscribe_denied

from bus import subjects
from bus.answer_log import AnswerWriter, read_log
from bus.asking import cancel_query, publish_query
from bus.connection import Bus, connect
from bus.consume import Source
from bus.delivery import Delivery
from bus.documents import outcomes, publish_document, report_outcome
from bus.envelope import now_ms
from bus.feedback import give_feedback, read_labels
from bus.keys import KeyFolder, PublicKeys
from bus.overview import read_overview
from bus.permissions import FLEET_ROLES
from bus.presence import Identity, answer_pings, gather_presences
from bus.provision import provision
from bus.publish import publish
from bus.settings import BusSettings
from bus.stage import run_stage
from bus.subjects import Lane
from bus.testing import NatsServer, eventually
from bus.topology import ANSWERS, DLQ, FEEDBACK, ROUTE, STAGES, STREAMS, Stream
from contracts import Accepted, Delta, Document, Done, Failed, Feedback, Outcome, Query, Route, encode
from contracts.errors import InvalidQuery, Misconfigured, PermissionDenied

API = "$JS.API"
QUERY_ID = "q1"
QUERY = Query(id=QUERY_ID, question="Why?")
STAGE_ROLES = tuple(STAGES)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def nats_server(tmp_path: Path, keys: KeyFolder) -> Iterator[NatsServer]:
    public = keys.ensure((role.name for role in FLEET_ROLES), (ACME, OTHER))
    server = NatsServer(tmp_path / "nats", permissions=public).start()
    yield server
    server.stop()


@pytest.fixture
async def access(nats_server: NatsServer, keys: KeyFolder) -> Access:
    found = Access(nats_server.url, keys)
    async with found.role("provision") as bus:
        await provision(bus.js, bus.settings)
        await provision(bus.js, bus.settings)
    return found


@pytest.fixture
async def publisher(access: Access) -> AsyncIterator[Bus]:
    async with access.publisher() as bus:
        yield bus


@pytest.fixture
async def operator(access: Access) -> AsyncIterator[Bus]:
    async with access.role("operator") as bus:
        yield bus


async def write_answer(bus: Bus, tenant: str) -> None:
    writer = AnswerWriter(bus, tenant, QUERY_ID)
    await writer.append(Accepted(tenant=tenant, query=QUERY, deadline=now_ms() + 60_000))
    await writer.append(Delta(text="secret"))
    await writer.append(Done(text="secret"))


async def count(bus: Bus, stream: Stream) -> int:
    return int((await bus.js.stream_info(stream.name)).state.messages)


async def test_a_publisher_asks_and_reads_its_answer_as_it_is_written(publisher: Bus, operator: Bus) -> None:
    live = await publisher.nc.subscribe(subjects.live(ACME, QUERY_ID))
    await publish_query(publisher, ACME, QUERY, deadline=now_ms() + 60_000)
    await publish_query(publisher, ACME, QUERY, deadline=now_ms() + 60_000)
    await write_answer(operator, ACME)
    heard = [json.loads((await live.next_msg(timeout=5)).data)["type"] for _ in range(3)]
    last = await publisher.js.get_msg(ANSWERS.name, subject=subjects.answer(ACME, QUERY_ID), direct=True)

    assert heard == ["accepted", "delta", "done"]
    assert json.loads(last.data or b"")["text"] == "secret"
    assert await count(operator, ROUTE) == 1


async def test_a_publisher_cancels_work_of_its_own_that_is_under_way(publisher: Bus, operator: Bus) -> None:
    heard = await operator.nc.subscribe(subjects.CANCEL)
    await operator.nc.flush()
    await publisher.nc.publish(subjects.cancel(ACME, QUERY_ID), b"{}")

    assert (await heard.next_msg(timeout=5)).subject == subjects.cancel(ACME, QUERY_ID)


async def test_a_publisher_sends_documents_and_hears_what_became_of_them(
    publisher: Bus, access: Access
) -> None:
    outcome = Outcome(document_id="a", status="indexed", chunks=1)
    async with outcomes(publisher, ACME) as reported, access.role("ingest") as worker:
        await publish_document(publisher, ACME, Document(id="a", content=b"eA=="))
        await report_outcome(worker, ACME, outcome)
        assert await anext(reported) == outcome


DENIED_TO_A_PUBLISHER = {
    "to act for another tenant": (
        subjects.query(OTHER),
        subjects.ingest(OTHER),
        subjects.cancel(OTHER, QUERY_ID),
    ),
    "to forge an answer": (
        subjects.answer(OTHER, QUERY_ID),
        subjects.answer(ACME, QUERY_ID),
        subjects.live(ACME, QUERY_ID),
        subjects.outcome(ACME),
    ),
    "to hand on, take or settle work": (
        subjects.query(ACME, Lane.BULK),
        subjects.retrieve(ACME),
        subjects.sql(ACME),
        subjects.generate("default", ACME),
        f"$JS.ACK.{ROUTE.name}.router.1.1.1.1.0",
        f"{API}.CONSUMER.MSG.NEXT.{ROUTE.name}.router",
        subjects.WORKERS_PING,
    ),
    "to read what is stored": (
        f"{API}.CONSUMER.CREATE.{ANSWERS.name}.mine.{subjects.answers_of(ACME)}",
        f"{API}.CONSUMER.CREATE.{ANSWERS.name}",
        f"{API}.DIRECT.GET.{ANSWERS.name}",
        f"{API}.DIRECT.GET.{ANSWERS.name}.{subjects.answer(OTHER, QUERY_ID)}",
        f"{API}.DIRECT.GET.{DLQ.name}",
        f"{API}.STREAM.MSG.GET.{ANSWERS.name}",
        f"{API}.STREAM.INFO.{ROUTE.name}",
        f"{API}.STREAM.NAMES",
    ),
    "to remove or change what is stored": (
        subjects.dead("router", ACME),
        f"{API}.STREAM.MSG.DELETE.{ANSWERS.name}",
        f"{API}.STREAM.PURGE.{ANSWERS.name}",
        f"{API}.STREAM.DELETE.{ANSWERS.name}",
        f"{API}.STREAM.UPDATE.{ANSWERS.name}",
    ),
}


@pytest.mark.parametrize("what", DENIED_TO_A_PUBLISHER)
async def test_a_publisher_is_not_allowed(publisher: Bus, what: str) -> None:
    for subject in DENIED_TO_A_PUBLISHER[what]:
        await assert_publish_denied(publisher, subject)


async def test_a_publisher_may_listen_to_nothing_but_its_own_answers_and_outcomes(publisher: Bus) -> None:
    for subject in (
        subjects.live(OTHER, QUERY_ID),
        subjects.LIVE,
        subjects.answer(OTHER, QUERY_ID),
        subjects.answers_of(ACME),
        subjects.outcome(OTHER),
        subjects.query(ACME),
        subjects.DEAD,
        "$JS.>",
        ">",
    ):
        await assert_subscribe_denied(publisher, subject)


async def test_a_publisher_hears_no_reply_that_is_meant_for_others(
    publisher: Bus, operator: Bus, access: Access
) -> None:
    heard = await publisher.nc.subscribe("_INBOX.>")
    await publisher.nc.flush()
    await write_answer(operator, OTHER)
    async with access.publisher(OTHER) as other:
        await publish_query(other, OTHER, QUERY, deadline=now_ms() + 60_000)
        await other.js.get_msg(ANSWERS.name, subject=subjects.answer(OTHER, QUERY_ID), direct=True)
    assert await read_log(operator, OTHER, QUERY_ID)
    await publisher.nc.flush()

    assert heard.pending_msgs == 0


async def test_a_publisher_can_not_name_another_answer_in_the_body_of_a_read(
    publisher: Bus, operator: Bus
) -> None:
    await write_answer(operator, ACME)
    await write_answer(operator, OTHER)
    address = f"{API}.DIRECT.GET.{ANSWERS.name}.{subjects.answer(ACME, QUERY_ID)}"
    for body in (
        {"last_by_subj": subjects.answer(OTHER, QUERY_ID)},
        {"seq": 1, "next_by_subj": subjects.ANSWER, "batch": 100},
        {"multi_last": [subjects.ANSWER]},
    ):
        reply = await publisher.nc.request(address, json.dumps(body).encode(), timeout=5)
        assert reply.data == b""
        assert (reply.headers or {})["Status"] == "408"


@pytest.mark.parametrize(
    "victim", [subjects.answer(OTHER, QUERY_ID), subjects.query(OTHER), f"{API}.STREAM.PURGE.{ANSWERS.name}"]
)
async def test_a_publisher_can_not_make_the_server_write_for_it_with_a_reply_subject(
    publisher: Bus, operator: Bus, victim: str
) -> None:
    await write_answer(operator, ACME)
    await write_answer(operator, OTHER)
    before = await count(operator, ANSWERS)
    await publisher.nc.publish(subjects.query(ACME), b"{}", reply=victim)
    own = f"{API}.DIRECT.GET.{ANSWERS.name}.{subjects.answer(ACME, QUERY_ID)}"
    await publisher.nc.publish(own, b"", reply=victim)
    # The server answers in order: when this one is stored, those before it are done with.
    await publish_query(publisher, ACME, QUERY, deadline=now_ms() + 60_000)

    assert await count(operator, ANSWERS) == before
    assert len((await read_log(operator, OTHER, QUERY_ID)).events) == 3
    assert await count(operator, ROUTE) == 2


async def test_a_denied_publish_ends_at_once_and_names_the_subject(access: Access) -> None:
    settings = access.keys.tenant_settings(access.url, ACME)
    patient = settings.model_copy(update={"publish_timeout_s": 60.0})
    async with connect(patient, name="test") as bus, asyncio.timeout(5):
        with pytest.raises(PermissionDenied, match=r"af\.query\.other"):
            await publish_query(bus, OTHER, QUERY, deadline=now_ms() + 60_000)


@pytest.mark.parametrize("role", STAGE_ROLES)
async def test_a_worker_pulls_and_settles_the_work_of_its_stage(
    role: str, access: Access, operator: Bus
) -> None:
    stream = STAGES[role]
    subject = stream.consumers[0].filter_subject.replace("*", ACME)
    body = encode(QUERY)
    await publish(operator, subject, body, headers={"Nats-Msg-Id": "1", "Af-Schema": "query/1"})
    async with access.role(role) as bus:

        async def work(delivery: Delivery[Query]) -> None:
            raise InvalidQuery("not like that")

        source = Source(stream.name, stream.consumers[0].durable, 2)
        async with run_stage(
            bus, source, Query, work, drain_grace_s=1, give_up=_silent if role == "ingest" else None
        ):

            async def buried() -> bool:
                return await count(operator, DLQ) == 1 and await count(operator, stream) == 0

            await eventually(buried)

    if role != "ingest":
        assert isinstance((await read_log(operator, ACME, QUERY_ID)).events[-1], Failed)


async def _silent(_: object) -> None:
    """Ingest writes no answer log."""


@pytest.mark.parametrize("role", STAGE_ROLES)
async def test_a_worker_may_not_take_or_settle_the_work_of_another_stage(role: str, access: Access) -> None:
    others = [stream for stage, stream in STAGES.items() if stage != role]
    async with access.role(role) as bus:
        for stream, consumer in [(found, consumer) for found in others for consumer in found.consumers]:
            await assert_publish_denied(bus, f"{API}.CONSUMER.MSG.NEXT.{stream.name}.{consumer.durable}")
            await assert_publish_denied(bus, f"$JS.ACK.{stream.name}.{consumer.durable}.1.1.1.1.0")


DENIED = {
    "router": (subjects.query(ACME), subjects.ingest(ACME), subjects.dead("sql", ACME)),
    "retrieval": (subjects.query(ACME), subjects.sql(ACME), subjects.dead("router", ACME)),
    "sql": (subjects.query(ACME), subjects.retrieve(ACME), subjects.outcome(ACME)),
    "generation": (subjects.retrieve(ACME), subjects.generate("default", ACME), subjects.outcome(ACME)),
    "ingest": (subjects.answer(ACME, QUERY_ID), f"{API}.DIRECT.GET.{ANSWERS.name}"),
    "bridge": (subjects.generate("default", ACME), f"{API}.CONSUMER.MSG.NEXT.{ROUTE.name}.router"),
    "provision": (subjects.query(ACME), f"{API}.DIRECT.GET.{ANSWERS.name}"),
    "monitor": (
        subjects.query(ACME),
        f"{API}.DIRECT.GET.{ANSWERS.name}",
        f"{API}.STREAM.MSG.GET.{ANSWERS.name}",
        f"{API}.CONSUMER.CREATE.{ANSWERS.name}.mine",
    ),
}


@pytest.mark.parametrize("role", DENIED)
async def test_a_role_is_denied_what_belongs_to_another(role: str, access: Access) -> None:
    async with access.role(role) as bus:
        for subject in DENIED[role]:
            await assert_publish_denied(bus, subject)


async def test_no_role_hears_the_replies_to_another(access: Access) -> None:
    for role in FLEET_ROLES:
        async with access.role(role.name) as bus:
            for inbox in ("_INBOX", *(other.inbox for other in FLEET_ROLES if other is not role)):
                await assert_subscribe_denied(bus, f"{inbox}.>")


async def test_only_the_operator_may_purge_or_delete(access: Access) -> None:
    for role in FLEET_ROLES:
        if role.name != "operator":
            async with access.role(role.name) as bus:
                for stream in STREAMS:
                    await assert_publish_denied(bus, f"{API}.STREAM.PURGE.{stream.name}")
                    await assert_publish_denied(bus, f"{API}.STREAM.DELETE.{stream.name}")


async def test_the_bridge_asks_reads_and_cancels_for_every_tenant(access: Access, operator: Bus) -> None:
    async with access.role("bridge") as bus:
        for tenant in (ACME, OTHER):
            await publish_query(bus, tenant, QUERY, deadline=now_ms() + 60_000)
            accepted = Accepted(tenant=tenant, query=QUERY, deadline=now_ms() + 60_000)
            await AnswerWriter(operator, tenant, QUERY_ID).append(accepted)
            await cancel_query(bus, tenant, QUERY_ID)
            assert (await read_log(bus, tenant, QUERY_ID)).terminal is not None


async def test_the_bridge_gives_feedback_the_router_learns_from_it_and_a_publisher_gives_none(
    access: Access, operator: Bus, publisher: Bus
) -> None:
    await write_answer(operator, ACME)
    async with access.role("bridge") as bus, access.role("router") as router:
        await give_feedback(bus, ACME, Feedback(query_id=QUERY_ID, rating="down", route=Route.SQL))
        assert [label.question async for label in read_labels(router)] == [QUERY.question]
        for denied in (router, publisher):
            await assert_publish_denied(denied, subjects.feedback(ACME, QUERY_ID))
        for denied in (bus, publisher):
            await assert_publish_denied(denied, f"{API}.DIRECT.GET.{FEEDBACK.name}")


async def test_the_monitor_sees_lengths_of_queues_and_workers_alive(access: Access, operator: Bus) -> None:
    await publish_query(operator, ACME, QUERY, deadline=now_ms() + 60_000)
    async with access.role("monitor") as bus, access.role("sql") as worker:
        async with answer_pings(worker, Identity("sql"), lambda: {"ready": True}):
            await worker.nc.flush()
            present = await gather_presences(bus)
        overview = await read_overview(bus)

    assert [found.kind for found in present] == ["sql"]
    assert {stage.waiting for stage in overview.stages if stage.stage == "router"} == {1}


@pytest.mark.parametrize("how", ["unknown key", "no key"])
async def test_who_is_not_known_is_told_which_setting_to_correct(
    access: Access, tmp_path: Path, how: str
) -> None:
    stranger = KeyFolder(tmp_path / "stranger")
    stranger.ensure(("router",), ())
    settings = (
        stranger.settings(access.url, "router") if how == "unknown key" else BusSettings(nats_url=access.url)
    )
    with pytest.raises(Misconfigured) as refused:
        async with asyncio.timeout(5), connect(settings, name="test"):
            pass

    assert "AF_NATS_NKEY_FILE" in refused.value.remedy
    assert ("router.nk" in refused.value.detail) == (how == "unknown key")


async def test_keys_are_replaced_while_the_server_runs(
    access: Access, nats_server: NatsServer, tmp_path: Path, operator: Bus
) -> None:
    """A new tenant and a second key come in beside the old; a key that is taken out ends its connections."""
    old = access.keys.ensure(("operator", "router"), (ACME,))
    new = KeyFolder(tmp_path / "new")
    both = old.joined(new.ensure(("router",), ("young",)))
    async with access.role("router") as before:
        nats_server.reload(both)
        await eventually(lambda: connects(new.settings(access.url, "router")))
        await eventually(lambda: connects(new.tenant_settings(access.url, "young")))
        await before.nc.flush()
        assert before.nc.stats["reconnects"] == 0
        nats_server.reload(PublicKeys(roles={**both.roles, "router": both.roles["router"][1:]}))
        await eventually(lambda: not before.nc.is_connected)
        assert await connects(new.settings(access.url, "router"))
    await operator.nc.flush()
    assert operator.nc.stats["reconnects"] == 0


async def connects(settings: BusSettings) -> bool:
    try:
        async with connect(settings, name="test"):
            return True
    except Misconfigured:
        return False


@pytest.mark.parametrize("content", [None, "", "not a seed", "SUAXXXXXXX"])
async def test_a_key_file_that_is_of_no_use_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "some.nk"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Misconfigured, match=r"some\.nk"):
        async with connect(BusSettings(nats_nkey_file=path), name="test"):
            pass


def test_seeds_are_readable_by_their_owner_only_and_stay_the_same(keys: KeyFolder) -> None:
    first = keys.ensure(("router",), (ACME,))

    assert {path.stat().st_mode & 0o777 for path in (keys.role("router"), keys.tenant(ACME))} == {0o600}
    assert keys.ensure(("router",), (ACME,)) == first

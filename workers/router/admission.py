"""A flood steps aside: queries of a tenant that has much work waiting go to the bulk lane."""

from bus import subjects
from bus.connection import Bus
from bus.delivery import Delivery, Work
from bus.envelope import message_id
from bus.fairness import Backlogs
from bus.publish import publish
from bus.subjects import Lane
from contracts import SCHEMAS, Query, encode


def admit(bus: Bus, backlogs: Backlogs, work: Work[Query]) -> Work[Query]:
    """`work` for what may go on; the rest is stored again on the bulk lane, where it waits for free slots."""

    async def admitted(delivery: Delivery[Query]) -> None:
        """May run twice: the bulk lane drops the repeat by its dedup id."""
        if delivery.lane is Lane.FRESH and backlogs.exceeded(delivery.tenant):
            await _step_aside(bus, delivery)
            return
        backlogs.note(delivery.tenant)
        await work(delivery)

    return admitted


async def _step_aside(bus: Bus, delivery: Delivery[Query]) -> None:
    query, tenant = delivery.body, delivery.tenant
    headers = delivery.envelope.headers(
        message_id=message_id(tenant, query.id, "bulk"), schema=SCHEMAS[Query]
    )
    await publish(bus, subjects.query(tenant, Lane.BULK), encode(query), headers=headers)

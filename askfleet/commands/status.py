"""`askfleet status`: what runs, and what waits."""

import httpx
import psutil
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from askfleet.board import process_table
from askfleet.commands import options
from askfleet.state import ProcessRecord, StackRecord, StateFolder
from askfleet.supervisor import State, Status
from contracts.errors import DependencyUnavailable

TIMEOUT_S = 5.0


class Consumer(BaseModel):
    stream_name: str
    name: str
    num_pending: int = 0
    num_ack_pending: int = 0
    num_redelivered: int = 0


class StreamState(BaseModel):
    messages: int = 0
    bytes: int = 0


class Stream(BaseModel):
    name: str
    state: StreamState = StreamState()
    consumer_detail: list[Consumer] = []


class Account(BaseModel):
    stream_detail: list[Stream] = []


class Jetstream(BaseModel):
    """The part of nats-server's `/jsz` that is shown."""

    account_details: list[Account] = []


def status(state_dir: options.StateDir = options.STATE_DIR) -> None:
    """Show the processes of the running stack and the length of each queue.

    askfleet status
    """
    record = StateFolder(state_dir).running_stack()
    console = Console()
    console.print(process_table(_status(process) for process in record.processes))
    console.print(queue_table(read_queues(record)))
    typer.echo(f"bridge  {' '.join(record.bridge_urls)}")


def read_queues(record: StackRecord) -> Jetstream:
    """Raises DependencyUnavailable when nats-server's monitoring does not answer."""
    url = f"{record.nats_monitor_url}/jsz?streams=true&consumers=true"
    try:
        response = httpx.get(url, timeout=TIMEOUT_S).raise_for_status()
    except httpx.HTTPError as error:
        raise DependencyUnavailable(f"nats-server at {url} does not answer ({error}).") from error
    return Jetstream.model_validate_json(response.content)


def queue_table(jetstream: Jetstream) -> Table:
    table = Table(
        "stream", "messages", "consumer", "waiting", "in work", "redelivered", box=None, header_style="bold"
    )
    streams = [stream for account in jetstream.account_details for stream in account.stream_detail]
    for stream in sorted(streams, key=lambda found: found.name):
        first = (stream.name, str(stream.state.messages))
        for numbers in [_numbers(consumer) for consumer in stream.consumer_detail] or [("", "", "", "")]:
            table.add_row(*first, *numbers)
            first = ("", "")
    return table


def _numbers(consumer: Consumer) -> tuple[str, str, str, str]:
    counts = (consumer.num_pending, consumer.num_ack_pending, consumer.num_redelivered)
    pending, in_work, redelivered = (str(count) for count in counts)
    return consumer.name, pending, in_work, redelivered


def _status(record: ProcessRecord) -> Status:
    alive = psutil.pid_exists(record.pid)
    state = State.READY if alive else State.STOPPED
    return Status(record.name, state=state, address=record.address, pid=record.pid if alive else None)

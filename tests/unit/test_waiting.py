"""A worker's start while a dependency is away."""

import pytest

from contracts.errors import DependencyUnavailable, SchemaChanged
from workers.shell.waiting import once_there


async def test_a_start_waits_until_what_it_needs_is_there() -> None:
    tries = 0

    async def step() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise DependencyUnavailable("Milvus does not answer.")

    await once_there(step)

    assert tries == 3


async def test_a_start_gives_up_when_its_patience_ends() -> None:
    async def step() -> None:
        raise DependencyUnavailable("Milvus does not answer.")

    with pytest.raises(DependencyUnavailable):
        await once_there(step, patience_s=0.3)


async def test_a_fault_that_does_not_pass_is_not_waited_for() -> None:
    tries = 0

    async def step() -> None:
        nonlocal tries
        tries += 1
        raise SchemaChanged("The collection has other vectors.")

    with pytest.raises(SchemaChanged):
        await once_there(step)
    assert tries == 1

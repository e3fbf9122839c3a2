"""One engine of each kind for the suite that all of them pass."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from engine_trials import KINDS, Trial, open_trial

from workers.engines import Engine


@pytest_asyncio.fixture(loop_scope="package", scope="package", params=KINDS)
async def trial(request: pytest.FixtureRequest) -> AsyncIterator[Trial]:
    async with open_trial(request.param) as opened:
        yield opened


@pytest.fixture(scope="package")
def engine(trial: Trial) -> Engine:
    return trial.engine

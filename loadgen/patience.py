"""Growing pauses between attempts."""

import random

FIRST_S = 0.05
LONGEST_S = 2.0
SPREAD = 0.5


class Pauses:
    """Doubled from one to the next, with chance in them so that clients do not come back in step."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._next_s = FIRST_S

    def next_s(self) -> float:
        pause_s, self._next_s = self._next_s, min(LONGEST_S, 2 * self._next_s)
        return pause_s * self._chance.uniform(1.0 - SPREAD, 1.0 + SPREAD)

    def reset(self) -> None:
        self._next_s = FIRST_S

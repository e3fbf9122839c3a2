"""How sure a share is that was counted."""

import math


def wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Bounds of a share at 95 %."""
    if not total:
        return 0.0, 1.0
    share = hits / total
    middle = share + z * z / (2 * total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return (middle - reach) / scale, (middle + reach) / scale

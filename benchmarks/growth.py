"""How time grows with rows: the exponent of the curve that fits best."""

import math
from collections.abc import Mapping


def exponent(times: Mapping[int, float]) -> float | None:
    """The slope of log time over log rows, by least squares; None of fewer than two points.

    >>> exponent({10: 0.2, 100: 2.0, 1000: 20.0})
    1.0
    """
    if len(times) < 2:  # noqa: PLR2004 - one point is no line
        return None
    x = [math.log(rows) for rows in times]
    y = [math.log(time) for time in times.values()]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    across = sum((one - middle_x) ** 2 for one in x)
    return round(sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True)) / across, 3)

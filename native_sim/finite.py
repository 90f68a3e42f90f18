"""What counts as a number wherever one is given: finite, and within its range.

A comparison with NaN is false, so a check written as "wrong if below or above" lets NaN pass. Settings, options and
files are checked here instead.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, NoReturn


def is_number(value: object, low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> bool:
    """Tell whether a value is a finite real number from ``low`` to ``high``; True and False are none.

    Args:
        value: Anything.
        low: Smallest number allowed.
        high: Largest number allowed.
        above: Whether ``low`` itself is not allowed.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    number: Any = value  # compared as it is: as a float, a large whole number would be rounded
    try:
        if not math.isfinite(number):
            return False
    except OverflowError:  # a whole number beyond the range of floats
        return False
    return bool((low < number if above else low <= number) and number <= high)


def parse_float(text: str) -> float:
    """Return the number in a text of JSON or TOML, for their ``parse_float``.

    Raises:
        ValueError: If it is not finite, such as ``nan`` and ``1e999``.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def refuse_constant(text: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not have, for ``parse_constant`` of Python's reader.

    Raises:
        ValueError: Always.
    """
    raise ValueError(f"{text} is no finite number")

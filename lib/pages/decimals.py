"""How many decimals a number needs to be told from 0."""

_MOST = 6


def decimals_of(value: float, least: int) -> int:
    """Return the decimals with which a number that is not 0 does not look like 0.

    A verdict may hang on its sign, and "0.0 to 2.1" hides the sign of its first end.

    Args:
        value: the number.
        least: decimals of numbers that show a digit with them.

    Returns:
        ``least`` or as many more as it takes; of what is 0 to six decimals, ``least``.
    """
    return next((n for n in range(least, _MOST + 1) if round(value, n)), least)

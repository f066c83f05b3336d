"""Nothing to find here."""


def double(value: int) -> int:
    """Return twice the value."""
    return 2 * value

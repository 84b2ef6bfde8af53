"""Small helpers for text."""

__all__ = ["str_to_bool"]


def str_to_bool(value: str) -> bool:
    """Whether a setting is switched on: `yes`, `true` or `1`, in any case."""
    return value.lower() in ("yes", "true", "1")

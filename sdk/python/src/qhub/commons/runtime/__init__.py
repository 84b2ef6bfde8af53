"""The runtime of a service, and what a service says to it."""

from qhub.commons.runtime.error import HandlerError

__all__ = ["HandlerError"]

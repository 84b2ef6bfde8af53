"""What a managed service is made of: secrets, data pools, and the runtime that calls its `run` function.

`qhub` is a namespace package: other distributions install beside this one.
"""

# Written here, not read from the installed metadata: that takes longer to import than all the rest.
__version__ = "1.2.2+qhubctl.10"

__all__ = ["__version__"]

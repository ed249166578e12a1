"""One trained network on every inference runtime: same answers, measured speed.

>>> from inference_backends import make_backend
"""

from inference_backends.backends import (
    NAMES,
    PRECISIONS,
    AbsentError,
    Backend,
    Precision,
    Session,
    SessionInfo,
    UnsupportedError,
    absent_backends,
    available_backends,
    make_backend,
)

__all__ = [
    "NAMES",
    "PRECISIONS",
    "AbsentError",
    "Backend",
    "Precision",
    "Session",
    "SessionInfo",
    "UnsupportedError",
    "absent_backends",
    "available_backends",
    "make_backend",
]

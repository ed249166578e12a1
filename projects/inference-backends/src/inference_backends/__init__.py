"""One trained network on every inference runtime: same answers, measured speed.

>>> from inference_backends import make_backend
"""

from inference_backends.backends import (
    NAMES,
    PRECISIONS,
    Absent,
    Backend,
    Precision,
    Session,
    SessionInfo,
    Unsupported,
    absent_backends,
    available_backends,
    make_backend,
)

__all__ = [
    "NAMES",
    "PRECISIONS",
    "Absent",
    "Backend",
    "Precision",
    "Session",
    "SessionInfo",
    "Unsupported",
    "absent_backends",
    "available_backends",
    "make_backend",
]

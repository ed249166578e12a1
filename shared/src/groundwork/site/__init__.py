"""The static portfolio: plain HTML that works without a server."""

from groundwork.site.build import build
from groundwork.site.serve import serve

__all__ = ["build", "serve"]

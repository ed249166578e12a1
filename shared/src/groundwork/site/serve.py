"""Show the built site on this machine."""

import functools
import http.server
from pathlib import Path

from groundwork.errors import UsageError


def serve(folder: Path, port: int = 8000) -> None:
    """Serve a folder on 127.0.0.1 until Ctrl-C; port 0 takes a free one.

    Raises UsageError where the port cannot be had.
    """
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"port {port} cannot be used ({reason}); --port 0 takes a free one"
        ) from error
    with server:
        print(f"http://127.0.0.1:{server.server_address[1]} (Ctrl-C ends it)", flush=True)
        server.serve_forever()

"""Show the built site on this machine."""

import functools
import http.server
from pathlib import Path


def serve(folder: Path, port: int = 8000) -> None:
    """Serve a folder on 127.0.0.1 until Ctrl-C; port 0 takes a free one."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]} (Ctrl-C ends it)")
        server.serve_forever()

"""A proxy with a certificate before a service, as an operator's proxy is."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import trustme


@contextmanager
def secured(service: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Run the proxy for as long as the block lasts; give its host and port, and whom to trust."""
    authority, trusted = trustme.CA(), folder / "trusted.pem"
    authority.cert_pem.write_to_path(str(trusted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with httpx.Client(base_url=service, timeout=60) as onward:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(onward))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", trusted
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _handler(onward: httpx.Client) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = dict(self.headers.items()) | {"X-Forwarded-Proto": "https", "Connection": "close"}
            answer = onward.request(self.command, self.path, content=body, headers=headers)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("content-type", ""))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = pass_on

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler

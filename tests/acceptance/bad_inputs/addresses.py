"""Addresses and methods of which there are none, and requests that are hardly HTTP, as bytes of a connection."""

from tests.acceptance.bad_inputs.cases import got

LONG = "x" * 5000

ADDRESSES = [
    got("nothing there", "/api/nothing", 404),
    got("nothing at the top", "/nothing", 404),
    got("a climb, encoded twice", "/api/models/%252e%252e", 404),
    got("a climb, encoded", "/api/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
    got("a climb among the assets", "/docs/assets/%2e%2e/%2e%2e/pyproject.toml", 404),
    got("a backslash", "/api/models/..%5C..%5Cx", 404),
    got("bytes that are not UTF-8", "/api/models/%ff%fe", 404),
    got("an encoded surrogate", "/api/models/%ED%A0%80", 404),
    got("a template", "/api/models/%7B%7B7*7%7D%7D", 404),
    got("a quote", "/api/runs/run_1'%20or%201=1", 404),
    got("NUL", "/api/models/a%00b", 400),
    got("a long path", f"/api/{LONG}", 404),
    got("a very long path", "/api/" + "x/" * 20_000, 404),
    got("a long name", f"/api/models/{LONG}", (404, 422)),
    *(
        got("a method that it does not take", path, 405, method=method)
        for path, method in (
            ("/api/runs", "PATCH"),
            ("/api/runs", "DELETE"),
            ("/api/models", "PUT"),
            ("/api/datasets", "PATCH"),
            ("/api/runs/$run", "POST"),
            ("/api/models/x:predict", "DELETE"),
            ("/api/workers", "POST"),
            ("/api/models:check", "GET"),
        )
    ),
    *(
        got(f"host {host[:20]!r}", "/api/runs", 400, Host=host)
        for host in ("[", "[::1", "a b", "a/../b", "a?b", "a@b", "x:y", LONG + "/")
    ),
    *(
        got(f"origin {origin!r}", "/api/runs", 403, method="POST", Origin=origin)
        for origin in ("http://[bad", "http://]", "null", "x", "http://evil.example.org", f"http://{LONG}")
    ),
    got("a bad host of an address that is none", "/api/nothing", 404, Host="["),
]


def _head(*lines: str, path: str = "/api/runs") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode("latin-1")


WIRES: dict[str, tuple[bytes, int]] = {
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n", 400),
    "no HTTP": (b"HELLO\r\n\r\n", 400),
    "an unknown method": (b"BREW /api/runs HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an unknown version": (b"GET /api/runs HTTP/9.9\r\nHost: x\r\n\r\n", 400),
    "a path that is not ASCII": (b"GET /api/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a zero byte in the path": (b"GET /api/a\0b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a zero byte in a header": (_head("X: a\0b"), 400),
    "a header without a colon": (_head("nonsense"), 400),
    "a length that is a word": (_head("Content-Length: many"), 400),
    "a length of -1": (_head("Content-Length: -1"), 400),
    "a length of 30 digits": (_head("Content-Length: " + "9" * 30), 400),
    "two lengths": (_head("Content-Length: 2", "Content-Length: 3") + b"{}", 400),
    "a length and chunks": (_head("Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "a chunk of no size": (_head("Content-Type: application/json", "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n", 400),
    "a length over the limit": (_head("Content-Type: application/json", "Content-Length: 2000000000") + b"{", 413),
    "an upload over the limit": (
        _head("Content-Type: multipart/form-data; boundary=edge", "Content-Length: 2000000000", path="/api/datasets") + b"--edge",
        413,
    ),
    "a prediction over the limit": (_head("Content-Length: 2000000000", path="/v1/models/x:predict") + b"{", 413),
    "chunks over the limit": (
        _head("Content-Type: application/json", "Transfer-Encoding: chunked")
        + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 200
        + b"0\r\n\r\n",
        413,
    ),
    "a header of 2 MB": (_head("X: " + "x" * 2_000_000), 431),
    "an address of 2 MB": (b"GET /" + b"x" * 2_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "100000 headers": (_head(*(f"X-{number}: x" for number in range(100_000))), 431),
    "a climb": (b"GET /api/../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "a climb among the assets": (b"GET /docs/assets/../../../pyproject.toml HTTP/1.1\r\nHost: x\r\n\r\n", 404),
}
"""What is sent, and the status of what comes back before the connection is closed."""

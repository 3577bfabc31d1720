"""Bounds what a client may send before its body: uvicorn's faster parser keeps a header for as long as it goes on."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's HTTP protocol for one connection, which answers 431 to a head without end (RFC 6585, 5)."""

    max_head_bytes = 64 * 1024
    """Address and headers of a request together; what comes along in the first read, up to 256 KiB more, is not counted."""
    _is_in_head = False
    _head_bytes = 0

    def on_message_begin(self) -> None:
        """A request begins."""
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head of a request has been read."""
        self._is_in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._refuse_head()
                return
        super().data_received(data)

    def _refuse_head(self) -> None:
        refusal = b"The address and the headers are over the limit of %d bytes." % self.max_head_bytes
        lines = [
            b"HTTP/1.1 431 Request Header Fields Too Large",
            b"content-type: text/plain; charset=utf-8",
            b"content-length: %d" % len(refusal),
            b"connection: close",
            b"",
            refusal,
        ]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()

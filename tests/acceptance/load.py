"""Clients that do not stop asking while a test does something to the service."""

import threading
import time
from collections.abc import Callable

import httpx


class Load:
    """Clients that send one request after the other on connections that they keep; ``failures`` had no good answer."""

    def __init__(self, url: str, *requests: Callable[[httpx.Client], httpx.Response]) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._url = url
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(request,)) for request in requests]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _send(self, request: Callable[[httpx.Client], httpx.Response]) -> None:
        with httpx.Client(base_url=self._url, timeout=30, trust_env=False) as client:
            while not self._is_over.is_set():
                try:
                    response = request(client)
                except httpx.TransportError as error:
                    self.failures.append(repr(error))
                else:
                    self.answered += 1
                    if not response.is_success:
                        self.failures.append(response.text)
                time.sleep(0.005)

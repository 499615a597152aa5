"""A TCP proxy that can hold all bytes back, as a network partition does."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class TcpProxy:
    """Forward connections to a port of this machine.

    While it is cut nothing passes, and nothing is refused: peers wait. Afterwards what was sent
    meanwhile arrives, as TCP sends it again.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._connected = threading.Event()
        self._connected.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._in_thread(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._connected.set()
        self._listener.close()

    def cut(self) -> None:
        self._connected.clear()

    def heal(self) -> None:
        self._connected.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._in_thread(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        self._connected.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        self._in_thread(self._pump, client, server)
        self._pump(server, client)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._connected.wait()
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _in_thread(self, act: object, *given: object) -> None:
        threading.Thread(target=act, args=given, daemon=True).start()

"""The embedded broker: kombu's filesystem transport, made safe for several readers and quick to stop.

A message is a file in ``data_folder_in``. kombu opens that file first and fills it afterwards, so a reader can take
it empty and stop on it; and it takes files by way of the machine's temporary folder, which may be another file
system, where two readers can both succeed. Here a message appears whole and is taken by one rename.
"""

from __future__ import annotations

import os
import time
import uuid
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

SCHEME = "files"
# A worker looks only between two waits whether it has been asked to stop.
LONGEST_WAIT_SECONDS = 0.5


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # the stubs disagree
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}.msg"
        whole = os.path.join(self.data_folder_out, name)
        part = os.path.join(self.processed_folder, f"{name}.part")
        try:
            with open(part, "w", encoding="utf-8") as file:
                file.write(dumps(payload))
            os.replace(part, whole)
        except OSError as error:
            raise ChannelError(f"Cannot write the message {whole!r}: {error}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        ending = f"{queue}.msg"
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.partition(".")[2] != ending:
                continue
            taken = os.path.join(self.processed_folder, f"{name}.{os.getpid()}")
            try:
                os.rename(os.path.join(self.data_folder_in, name), taken)
            except FileNotFoundError:  # another reader was quicker
                continue
            with open(taken, encoding="utf-8") as file:
                payload = loads(file.read())
            os.unlink(taken)
            return payload
        raise Empty


class Transport(filesystem.Transport):
    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:  # type: ignore[override]
        wait = LONGEST_WAIT_SECONDS if timeout is None else min(timeout, LONGEST_WAIT_SECONDS)
        super().drain_events(connection, wait)


def register() -> None:
    """Let kombu find this transport under ``files://``."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"

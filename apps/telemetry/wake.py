"""Wake a worker after a commit, without ever making a request wait for the broker.

A thread of its own sends the messages: the first at once, later ones for the same organisation gathered into one every
:data:`EVERY_S`. The dirty hours stand in the database, so a message that is not sent costs time and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time

from celery import current_app

EVERY_S = 2.0
AFTER_FAILURE_S = 30.0
TASK = "accounting.settle"

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_waiting: set[int] = set()
_thread: threading.Thread | None = None


def wake_worker(organisation_id: int) -> None:
    """Have the organisation's pending hours worked off soon. Returns at once and never raises."""
    global _thread
    with _lock:
        _waiting.add(organisation_id)
        if _thread is None or not _thread.is_alive():  # also after a fork, which threads do not survive
            _thread = threading.Thread(target=_send_waiting, name="wake-worker", daemon=True)
            _thread.start()


def _send_waiting() -> None:
    global _thread
    while True:
        with _lock:
            organisations = sorted(_waiting)
            _waiting.clear()
            if not organisations:
                _thread = None
                return
        pause = EVERY_S
        try:
            for organisation_id in organisations:
                current_app.send_task(TASK, args=[organisation_id], ignore_result=True, retry=False)
        except Exception as fault:  # whatever the broker's library raises: the sweep finds the hours
            logger.warning("no worker was woken, the sweep will find the hours: %s", fault)
            pause = AFTER_FAILURE_S
        time.sleep(pause)

"""Waking a worker when inputs change. Without a broker nothing is lost: the sweep finds it."""

from __future__ import annotations

import logging
from typing import Any

from apps.accounting import tasks

logger = logging.getLogger(__name__)


def wake_on_changed_inputs(sender: Any, organisation_id: int | None, **kwargs: Any) -> None:
    """Queue the settling of an organisation, or of all; never raises, since the write it follows is committed."""
    try:
        if organisation_id is None:
            tasks.sweep.apply_async(retry=False)
        else:
            tasks.settle.apply_async(args=(organisation_id,), retry=False)
    except Exception:
        logger.warning("The broker is not available; the next sweep will see the changed inputs.", exc_info=True)

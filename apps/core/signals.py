"""The one signal between rooms: an input of the accounts has changed.

Sites, factors and procurement stand below accounting and cannot call it. Their services send this after commit;
accounting listens and queues a recalculation. A lost signal loses nothing: the sweep compares inputs with rates.
"""

from django.db import transaction
from django.dispatch import Signal

inputs_changed = Signal()  # argument: organisation_id, or None for every organisation


def announce_inputs_changed(organisation_id: int | None) -> None:
    """Tell the accounts, once the present transaction is committed, that they have to look at their inputs again."""
    transaction.on_commit(lambda: inputs_changed.send(sender=None, organisation_id=organisation_id))

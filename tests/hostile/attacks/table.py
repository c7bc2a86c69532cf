"""The attacks: what is sent, what the API says meanwhile, and the status that is the answer.

Each is tried against a function that accepts one bearer token, one webhook secret and one SMN topic, in a tenant of
which every interface lives. `LIVING` is mirrored by three sessions: whoever gets it out of one has won.
"""

from __future__ import annotations

from tests.hostile.attacks import answers, forms, meanings
from tests.hostile.attacks.made import Attack, Rows

TABLE: dict[str, Rows] = {**meanings.TABLE, **forms.TABLE, **answers.TABLE}
"""By kind."""

ATTACKS = tuple(Attack(kind, *row) for kind, rows in TABLE.items() for row in rows)

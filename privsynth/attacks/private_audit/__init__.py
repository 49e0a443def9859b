"""An audit that may be published: counts of real records with noise, charged to the ledger of the data set.

Each figure rests on a count to which one unit adds at most one, by a rule that no real record has a say in:
the attack's threshold and the predicting model are made from synthetic rows, which are released already. All
figures are Gaussian events of one run; members and outsiders are one data set, since each unit is either.
"""

from __future__ import annotations

from privsynth.attacks.private_audit.account import AuditAccount, AuditBudget
from privsynth.attacks.private_audit.counts import SHARES
from privsynth.attacks.private_audit.figures import paid_audit

__all__ = ["SHARES", "AuditAccount", "AuditBudget", "paid_audit"]

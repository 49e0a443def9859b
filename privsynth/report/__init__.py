"""Bring all figures together: one JSON file to script against, one page to read."""

from __future__ import annotations

from privsynth.report.audit import audit, public_report
from privsynth.report.document import AuditReport

__all__ = ["AuditReport", "audit", "public_report"]

"""Bring all figures together: one JSON file to script against, one page to read."""

from __future__ import annotations

from privsynth.report.audit import audit
from privsynth.report.public import public_report
from privsynth.report.report import AuditReport

__all__ = ["AuditReport", "audit", "public_report"]

"""Bring all figures together: one JSON file to script against, one page to read."""

from __future__ import annotations

from privsynth.report.audit import audit
from privsynth.report.audit_report import AuditReport
from privsynth.report.public import public_report

__all__ = ["AuditReport", "audit", "public_report"]

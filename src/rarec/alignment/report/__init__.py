"""A run's folder -> one HTML page."""

from rarec.alignment.report.html import REPORT, write_report

__all__ = ["REPORT", "write_report"]

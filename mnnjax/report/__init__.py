"""Pictures, tables and the HTML page of one or more work folders, against the claims of the paper and of later work.

Reads config.json and results.csv only; nothing is trained or measured.
"""

from mnnjax.report.page import write_report

__all__ = ["write_report"]

"""Pictures, tables and the HTML page of one or more work folders, against the claims of the paper's section 5.

Reads config.json and results.csv only; nothing is trained and no array library is needed.
"""

from mnnjax.report.page import write_report

__all__ = ["write_report"]

"""Pictures, tables and the HTML page of one or more work folders, against the claims of the paper and of later work.

Pictures and tables are made from config.json and results.csv, how this was made is told from metrics.jsonl; nothing is
trained or measured.
"""

from mnnjax.report.page import write_report

__all__ = ["write_report"]

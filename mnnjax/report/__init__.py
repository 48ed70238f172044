"""Pictures, tables and the HTML page of one or more work folders, beside the claims of the paper and of later work.
Pictures and tables are made from config.json and results.csv, the page's last section from metrics.jsonl; nothing is
trained or measured.

Each figure has a folder here, whose `section(study, part, rows)` returns its claim, pictures and tables. A new figure
is a new folder, one entry in SECTIONS (sections.py), and its name in Study.figure (mnnjax/config/study.py).
"""

from mnnjax.report.page import figure, write_report

__all__ = ["figure", "write_report"]

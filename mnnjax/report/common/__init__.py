"""What the wings of the report share: rows, tables, findings, the style of figures."""

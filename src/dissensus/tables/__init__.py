"""Tables that users bring: CSV in any dress that spreadsheets give it, TSV and Parquet, read the same way everywhere.

``text`` makes text of bytes, ``delimited`` cells of text, ``numbers`` numbers of cells, ``table`` puts names on columns.
"""

from dissensus.tables.table import Table, open_table

__all__ = ["Table", "open_table"]

"""What a wing shows of one study: a claim beside what was measured, pictures and tables."""

import dataclasses

from mnnjax.report.common.figure_style import Picture
from mnnjax.report.common.findings import Finding
from mnnjax.report.common.tables import Table


@dataclasses.dataclass(frozen=True)
class Section:
    """One study of a work folder on the page. A wing fills in `title` to `counts`; sections.py and page.py add
    the rest."""

    title: str
    tables: tuple[tuple[str, str, Table], ...]
    """(suffix, heading, table)."""
    finding: Finding | None = None
    pictures: tuple[Picture, ...] = ()
    counts: tuple[str, ...] = ()
    """Sentences on what the tables hold, and what they lack."""
    settings: tuple[str, ...] = ()
    figure: str = ""
    """Study.figure of its part."""
    stem: str = ""
    """What the names of its files begin with; they go on with the suffix of a picture or table."""

    @property
    def files(self) -> set[str]:
        """The names of its files less their endings, in lower case."""
        suffixes = [*(picture.suffix for picture in self.pictures), *(suffix for suffix, _, _ in self.tables)]
        return {f"{self.stem}{suffix}".lower() for suffix in suffixes}

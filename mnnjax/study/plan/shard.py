"""A shard: some of the cells of a study, which run in a folder of their own."""

import dataclasses
import re

from mnnjax.config import UserError
from mnnjax.study.plan.grid import Cell


@dataclasses.dataclass(frozen=True)
class Shard:
    """Every `count`-th cell of a study, from number `index` on."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From I/N; raises UserError where it has another form, or I is not one of 0 to N - 1."""
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        shard = cls(*map(int, match.groups())) if match else None
        if shard is None or shard.index >= shard.count:
            raise UserError(f"shard: {text!r} is none; write I/N with I from 0 to N - 1, such as 0/3, 1/3 and 2/3")
        return shard

    @classmethod
    def of_folder(cls, name: str) -> "Shard | None":
        """The shard whose folder has that name, if any."""
        match = re.fullmatch(r"shard-([0-9]{1,9})-of-([0-9]{1,9})", name)
        shard = cls(*map(int, match.groups())) if match else None
        return shard if shard is not None and shard.index < shard.count and shard.folder == name else None

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"shard-{self.index}-of-{self.count}"

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, planned: list[Cell]) -> list[Cell]:
        """The shard's cells, from all cells of a study."""
        return planned[self.index :: self.count]

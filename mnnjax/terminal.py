"""Text on a terminal: no line is cut, and lines end between words."""

import sys
from typing import TextIO

# Where the continuation of a line such as "name    value" goes: below its value, if that begins before this column.
MOST_INDENTED = 34
# No narrower terminal is wrapped to.
NARROWEST = 20


def wrapped(text: str, width: int) -> str:
    """The text with lines of at most `width` characters, but for longer words such as paths. What goes on in a further
    line is indented: below the value of a line "name  value", else two more than its line."""
    return "\n".join(line if len(line) <= width else _wrapped_line(line, width) for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    # Imported where they are used: every command waits for the imports above.
    import re
    import textwrap

    margin = len(line) - len(line.lstrip())
    column = re.match(r"\s*\S+( \S+)*\s{2,}", line)
    indent = column.end() if column and column.end() <= MOST_INDENTED else margin + 2
    # Not textwrap's own handling of white space: columns stay where they are.
    return textwrap.fill(
        line, width, subsequent_indent=" " * indent, replace_whitespace=False, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def show(text: str, file: TextIO | None = None) -> None:
    """Print at once, to standard output or another stream; wrapped to its width where that is a terminal."""
    stream = sys.stdout if file is None else file
    if stream.isatty():
        import shutil

        text = wrapped(text, max(shutil.get_terminal_size().columns, NARROWEST))
    print(text, file=stream, flush=True)

"""Several work folders on one page: which fields of their studies differ, and their figures in one picture."""

import collections
import itertools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mnnjax.config import Study, to_dict
from mnnjax.report.common.figure_style import DOTTED, Picture, draw, legend_above, line, tell, told
from mnnjax.report.common.rows import grouped
from mnnjax.report.common.section import Section
from mnnjax.report.common.tables import Column, Table
from mnnjax.wording import EMPTY

# More fields than that name no folder.
_FEW_FIELDS = 3


class Joint(NamedTuple):
    """What the page shows of several folders together."""

    fields: Table
    pictures: tuple[Picture, ...]


def labels(names: Sequence[str], studies: Sequence[Study]) -> list[str]:
    """A name per folder: that of the folder, with the fields that set its study apart where they are few."""
    different = [dict(fields) for fields in zip(*_differing(studies).values(), strict=True)] if len(studies) > 1 else []
    result = []
    for name, fields in zip(names, different or [{}] * len(names), strict=True):
        # A section's title says its study and figure.
        told_apart = {key: value for key, value in fields.items() if key not in ("name", "figure")}
        few = 0 < len(told_apart) <= _FEW_FIELDS
        told = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in told_apart.items())
        result.append(f"{name} ({told})" if few else name)
    return result


def _differing(studies: Sequence[Study]) -> dict[str, list[tuple[str, str]]]:
    """Field -> (field, value as text) per study; only those that differ."""
    parts = [{part.name for part in study.parts[1:]} for study in studies]
    flat = [dict(_flat(to_dict(study), shared=set.intersection(*parts))) for study in studies]
    names = dict.fromkeys(itertools.chain.from_iterable(flat))
    found = {name: [(name, fields.get(name, EMPTY)) for fields in flat] for name in names}
    return {name: values for name, values in found.items() if len({text for _, text in values}) > 1}


def _flat(fields: Mapping[str, Any], before: str = "", shared: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """('train.epochs', '4000') of nested fields. Those of a study in `also` begin with its name, and are told where all
    folders have such a study."""
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        elif key == "also":
            for part in value:
                if part["name"] in shared:
                    yield from _flat(part, f"{part['name']}: ")
                else:
                    yield f"study {part['name']}", "there"
        else:
            yield f"{before}{key}", value if isinstance(value, str) else json.dumps(value)


def fields_table(names: Sequence[str], studies: Sequence[Study]) -> Table:
    """One row per field that differs, one column per folder."""
    # Folders may have the same name.
    keys = [f"{name}_{number}" if names.count(name) > 1 else name for number, name in enumerate(names, start=1)]
    columns = (Column("field", "field"), *(Column(key, key, style="words") for key in keys))
    rows = tuple((name, *(text for _, text in values)) for name, values in _differing(studies).items())
    return Table(columns, rows)


def joint(labels: Sequence[str], names: Sequence[str], studies: Sequence[Study], sections: Sequence) -> Joint:
    """Of folders, in their order; sections: those of each of them."""
    return Joint(fields_table(names, studies), tuple(_pictures(labels, sections)))


def _pictures(labels: Sequence[str], sections: Sequence[Sequence[Section]]) -> Iterator[Picture]:
    """Each picture that at least two folders have, in one."""
    found: list[tuple[tuple, str, Picture]] = []
    for label, of_folder in zip(labels, sections, strict=True):
        order: collections.Counter[str] = collections.Counter()
        for section in of_folder:
            order[section.figure] += 1
            key = (section.figure, order[section.figure])
            found += [((*key, picture.suffix), label, picture) for picture in section.pictures]
    for (figure, number, suffix), same in grouped(found, lambda entry: entry[0]).items():
        pictures = {label: picture for _, label, picture in same}
        if len(pictures) > 1 and all(_has_lines_alone(picture.figure()) for picture in pictures.values()):
            yield draw(
                lambda pictures=pictures: overlay({label: picture.figure() for label, picture in pictures.items()}),
                alt=f"{same[0][2].alt}; all folders in one picture",
                caption=f"As in its own picture below: {next(iter(pictures))}. Dotted, with open marks: "
                f"{', '.join(list(pictures)[1:])}. Bands, and lines from edge to edge, are of the first.",
                suffix=f"_{figure}{'' if number == 1 else f'_{number}'}{suffix}",
            )


def _has_lines_alone(figure: Figure) -> bool:
    """Bars and maps would hide each other."""
    return not any(p.containers or any(isinstance(c, QuadMesh) for c in p.collections) for p in figure.axes)


def overlay(figures: Mapping[str, Figure]) -> Figure:
    """The first figure, with the lines of the others, open and dotted, in the panels that have the same axes."""
    (first_label, first), *others = figures.items()
    handles = [handle for legend in first.legends for handle in legend.legend_handles if handle is not None]
    colors = {str(handle.get_label()): handle.get_color() for handle in handles if isinstance(handle, Line2D)}
    handles.append(line(first_label, "black", "o"))
    for number, (label, other) in enumerate(others):
        marker = "osD^v"[number % 5]
        handles.append(line(label, "black", marker, fillstyle="none", **DOTTED))
        panels = {_axes_of(panel): panel for panel in first.axes}
        for panel in other.axes:
            if mate := panels.get(_axes_of(panel)):
                _copy(panel, mate, label, marker, colors)
                x, y = [*panel.get_xlim(), *mate.get_xlim()], [*panel.get_ylim(), *mate.get_ylim()]
                mate.set(xlim=(min(x), max(x)), ylim=(min(y), max(y)))
    for legend in list(first.legends):
        legend.remove()
    legend_above(first, handles)
    return first


def _axes_of(panel: Axes) -> tuple:
    place = panel.get_subplotspec()
    return (panel.get_title(), panel.get_xlabel(), panel.get_ylabel(), place and place.colspan.start)


def _copy(source: Axes, target: Axes, label: str, marker: str, colors: Mapping[str, Any]) -> None:
    """colors: of the names in the first figure's legend, which may be others in the figure that is copied from."""
    for collection in source.collections:
        if isinstance(collection, LineCollection):
            color = colors.get(str(collection.get_label()), collection.get_colors())
            style = {"colors": color, "alpha": 0.5, "linewidths": 1.2, "linestyles": ":", "label": label}
            target.add_collection(LineCollection(collection.get_segments(), **style))
    for old in source.lines:
        # Lines from edge to edge belong to the panel.
        if old.get_transform() != source.transData:
            continue
        x, y = np.asarray(old.get_xydata(), float).T
        has_line, has_marker = old.get_linestyle() != "None", old.get_marker() not in ("", "None", None)
        style: dict[str, Any] = {**DOTTED, "linewidth": 1.4} if has_line else {"linestyle": "none"}
        (new,) = target.plot(
            x,
            y,
            color=colors.get(str(old.get_label()), old.get_color()),
            marker=marker if has_marker else "",
            fillstyle="none",
            label=label,
            **style,
        )
        plain = old.get_label() if not str(old.get_label()).startswith("_") else ""
        texts = told(old) or [f"{plain}<br>{a:.4g}: {b:.4g}" for a, b in zip(x, y, strict=True)]
        tell(new, [f"{label}<br>{text}" for text in texts])

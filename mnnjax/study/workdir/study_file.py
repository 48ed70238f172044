"""config.json: the study that a work folder belongs to, and the sources of a user's own functions in it."""

import json

from mnnjax import own_parts
from mnnjax.config import Study, UserError, from_dict, to_dict
from mnnjax.errors import require
from mnnjax.study.plan.growth import obstacle
from mnnjax.study.plan.shard import Shard
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.storage import AnyPath

CONFIG = "config.json"
# Beside the fields of the study: "module:function" -> the digest of its source (mnnjax.own_parts).
SOURCES = "sources"


def to_json(study: Study) -> str:
    """What config.json holds. Raises UserError where a function that the study names cannot be found."""
    found = {name: own_parts.source_digest(where, name) for where, name in _own(study)}
    return json.dumps(to_dict(study) | ({SOURCES: found} if found else {}), indent=1) + "\n"


def require_same_sources(folder: AnyPath, study: Study) -> None:
    """The user's functions that the study names are those that a folder began with. Raises UserError where the source
    of one has changed, or it cannot be found."""
    known = json.loads((folder / CONFIG).read_bytes()).get(SOURCES, {})
    for where, name in _own(study):
        changed = name in known and known[name] != own_parts.source_digest(where, name)
        told = f"{where}: the source of {name} has changed since {folder} began with it"
        require(not changed, f"{told}; restore it, or choose another --workdir")


def _own(study: Study) -> list[tuple[str, str]]:
    """The fields that name a user's function, and their values."""
    fields = [("network.init", part.network.init) for part in study.parts]
    for train in (part.train for part in study.parts if part.train is not None):
        fields += [("train.optimizer", train.optimizer), ("train.schedule", train.schedule)]
    return [(where, name) for where, name in fields if own_parts.is_own(name)]


def read_study(folder: AnyPath) -> Study:
    """The study that a folder belongs to; raises UserError where there is none, or config.json cannot be read."""
    file = folder / CONFIG
    try:
        with storage.clear_errors(folder):
            content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder} {_without_study(folder)}") from error
    hint = "restore it from a copy, or choose another folder"
    try:
        values = json.loads(content)
        if isinstance(values, dict):
            values.pop(SOURCES, None)
        return from_dict(Study, values)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{file} is damaged ({error if content else 'it is empty'}); {hint}") from error
    except UserError as error:
        raise UserError(f"{file} holds no study of this version of mnnjax ({error}); {hint}") from error


def require_growable(folder: AnyPath, study: Study, hint: str) -> None:
    """A folder belongs to the study, to one that gives the same results, or to a smaller one that can grow into it
    (plan/growth.py). Raises UserError where it belongs to another one; names the first field that stands in the way,
    and ends with `hint` where that field never changes."""
    if why := obstacle(read_study(folder), study, hint):
        raise UserError(f"{folder} belongs to another study {why}")


def _without_study(folder: AnyPath) -> str:
    """Why a folder without config.json holds no study, and what to do."""
    names = storage.names(folder)
    shards = [name for name in names if Shard.of_folder(name) and (folder / name / CONFIG).exists()]
    if shards:
        return f"holds shards, and not the config.json of their study; copy that of {shards[0]} there"
    why = "no config.json" if names else "it is empty"
    if not folder.exists():
        why = "it does not exist"
    elif not folder.is_dir():
        why = "it is a file"
    return f"holds no study ({why}); give a folder that `mnnjax run` made"

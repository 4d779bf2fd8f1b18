"""The one template language of our SQL: the same file for one node and for a cluster.

=============================  ====================================================
``{{database}}``               the quoted name of the database
``{{cluster}}``                the quoted name of the cluster
``{{on_cluster}}``             ``ON CLUSTER`` and its name, or nothing
``{{local}}``                  ``_local`` on a cluster, where the plain name is that of
                               the ``Distributed`` table in front; else nothing
``{{engine NAME(args)}}``      the engine; on a cluster ``Replicated``, each shard
                               with its own rows
``{{shared_engine NAME(…)}}``  the same, but on a cluster every node has every row
``-- only: cluster``           a line above a statement that one node does not need
=============================  ====================================================

A statement ends in ``;`` at the end of a line. Comments are lines of their own.
"""

import re
from dataclasses import dataclass

_PLACEHOLDER = re.compile(r"\{\{(\w+)(?: (\w+)(?:\((.*?)\))?)?\}\}")
_ONLY_CLUSTER = "-- only: cluster"

# Where replicas find each other, and the name of this one. The server fills in what is
# in single braces. No UUID, so that a node which joins later finds the others.
_PLACES = {
    "engine": "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'",
    "shared_engine": "'/clickhouse/tables/{database}/{table}', '{shard}-{replica}'",
}


@dataclass(frozen=True, slots=True)
class Topology:
    """How the tables are spread.

    Attributes:
        cluster: Name of the cluster in the servers' ``remote_servers``, whose shards
            need ``internal_replication`` and the macros ``shard`` and ``replica``;
            None for a single node.
    """

    cluster: str | None = None

    def __str__(self) -> str:
        return f"cluster {self.cluster}" if self.cluster else "single"


SINGLE = Topology()


def render(template: str, topology: Topology, *, database: str) -> list[str]:
    """Return the statements of a template for one topology.

    Raises:
        ValueError: The template has a placeholder that does not exist.
    """
    return [
        _fill(_without_comments(part), topology, database=database)
        for part in re.split(r";[ \t]*$", template, flags=re.MULTILINE)
        if _without_comments(part) and _is_wanted(part, topology)
    ]


def quote_name(name: str) -> str:
    """Quote an identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _is_wanted(statement: str, topology: Topology) -> bool:
    return topology.cluster is not None or _ONLY_CLUSTER not in statement.splitlines()


def _without_comments(statement: str) -> str:
    lines = statement.splitlines()
    return "\n".join(line for line in lines if not line.startswith("--")).strip()


def _fill(statement: str, topology: Topology, *, database: str) -> str:
    cluster = quote_name(topology.cluster) if topology.cluster else ""
    words = {
        "database": quote_name(database),
        "cluster": cluster,
        "on_cluster": f"ON CLUSTER {cluster}" if cluster else "",
        "local": "_local" if cluster else "",
    }

    def value(match: re.Match[str]) -> str:
        word, engine, arguments = match.groups()
        if word in _PLACES and engine:
            place = _PLACES[word] if cluster else ""
            return _engine(engine, arguments or "", place)
        if engine or word not in words:
            raise ValueError(f"{match.group()} is no placeholder")
        return words[word]

    return _PLACEHOLDER.sub(value, statement)


def _engine(name: str, arguments: str, place: str) -> str:
    if not place:
        return f"{name}({arguments})"
    return f"Replicated{name}({', '.join(filter(None, (place, arguments)))})"

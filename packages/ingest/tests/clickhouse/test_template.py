import pytest

from headwater_ingest.clickhouse.template import SINGLE, Topology, render

CLUSTER = Topology(cluster="prod")

TEMPLATE = """\
-- About the table; in many words
CREATE TABLE {{database}}.t{{local}} {{on_cluster}} (x UInt8)
ENGINE = {{engine ReplacingMergeTree(x)}}
ORDER BY x;

-- only: cluster
CREATE TABLE {{database}}.t AS {{database}}.t{{local}}
ENGINE = Distributed({{cluster}}, {{database}}, t_local, x);
"""


def test_one_node_gets_the_plain_engine_and_nothing_of_the_cluster() -> None:
    assert render(TEMPLATE, SINGLE, database="hw") == [
        "CREATE TABLE `hw`.t  (x UInt8)\nENGINE = ReplacingMergeTree(x)\nORDER BY x"
    ]


def test_a_cluster_gets_replicas_and_a_distributed_table_in_front() -> None:
    local, distributed = render(TEMPLATE, CLUSTER, database="hw")

    assert local == (
        "CREATE TABLE `hw`.t_local ON CLUSTER `prod` (x UInt8)\n"
        "ENGINE = ReplicatedReplacingMergeTree("
        "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}', x)\nORDER BY x"
    )
    assert distributed == (
        "CREATE TABLE `hw`.t AS `hw`.t_local\n"
        "ENGINE = Distributed(`prod`, `hw`, t_local, x)"
    )


def test_a_shared_engine_has_one_path_for_all_shards() -> None:
    [rendered] = render("{{shared_engine MergeTree}}", CLUSTER, database="hw")

    assert rendered == (
        "ReplicatedMergeTree("
        "'/clickhouse/tables/{database}/{table}', '{shard}-{replica}')"
    )
    assert render("{{shared_engine MergeTree}}", SINGLE, database="hw") == [
        "MergeTree()"
    ]


def test_an_engine_argument_may_be_a_call() -> None:
    [rendered] = render("{{engine SummingMergeTree((a, b))}}", SINGLE, database="hw")

    assert rendered == "SummingMergeTree((a, b))"


@pytest.mark.parametrize(
    "template", ["{{databse}}", "{{database x}}", "{{engine}}", "{{motor MergeTree}}"]
)
def test_a_misspelt_placeholder_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="is no placeholder"):
        render(template, SINGLE, database="hw")


def test_a_name_is_quoted() -> None:
    assert render("{{database}}", SINGLE, database="a`b\\") == ["`a\\`b\\\\`"]


def test_single_braces_are_left_to_the_server() -> None:
    template = "SELECT getMacro('shard'), {x:UInt8}, '{shard}'"

    assert render(template, CLUSTER, database="hw") == [template]

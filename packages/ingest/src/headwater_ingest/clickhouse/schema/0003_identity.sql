-- Persons and groups, made of the events that state something about them. Nothing is
-- ever overwritten: an operation on a property and a link between two ids are rows that
-- stay, and the views work out what they amount to. So neither the order in which events
-- arrive nor their repetition changes the result.
--
-- Operations of one event on the same property take effect in the order of their numbers.
-- `seq` is the event's id as a number (ClickHouse does not order UUIDs as text).
CREATE TABLE IF NOT EXISTS {{database}}.person_ops{{local}} {{on_cluster}}
(
    site_id UInt64 CODEC(Delta, ZSTD),
    distinct_id String CODEC(ZSTD),
    key LowCardinality(String),
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    seq UInt128 CODEC(NONE),
    op Enum8('set_once' = 1, 'set' = 2, 'add' = 3, 'append' = 4, 'unset' = 5),
    value String CODEC(ZSTD)
)
ENGINE = {{engine ReplacingMergeTree}}
ORDER BY (site_id, distinct_id, key, timestamp, seq, op)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- Only for reading, as all Distributed tables here: each shard fills its own.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{database}}.person_ops {{on_cluster}}
AS {{database}}.person_ops_local
ENGINE = Distributed({{cluster}}, {{database}}, person_ops_local);

-- The inner query keeps JSON from being read in any other event.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.person_ops_feed {{on_cluster}}
TO {{database}}.person_ops{{local}} AS
SELECT
    site_id,
    distinct_id,
    operation.2 AS key,
    timestamp,
    toUInt128(event_id) AS seq,
    operation.1 AS op,
    operation.3 AS value
FROM
(
    SELECT site_id, distinct_id, timestamp, event_id, properties
    FROM {{database}}.events{{local}}
    WHERE name IN ('$identify', '$set') AND properties != ''
)
ARRAY JOIN arrayConcat(
    arrayMap(
        p -> ('set_once', p.1, p.2), JSONExtractKeysAndValuesRaw(properties, '$set_once')
    ),
    arrayMap(
        p -> ('set', p.1, p.2), JSONExtractKeysAndValuesRaw(properties, '$set')
    ),
    arrayMap(
        p -> ('add', p.1, p.2), JSONExtractKeysAndValuesRaw(properties, '$add')
    ),
    arrayMap(
        p -> ('append', p.1, p.2), JSONExtractKeysAndValuesRaw(properties, '$append')
    ),
    arrayMap(
        key -> ('unset', key, ''), JSONExtract(properties, '$unset', 'Array(String)')
    )
) AS operation;

CREATE TABLE IF NOT EXISTS {{database}}.group_ops{{local}} {{on_cluster}}
(
    site_id UInt64 CODEC(Delta, ZSTD),
    group_type LowCardinality(String),
    group_key String CODEC(ZSTD),
    key LowCardinality(String),
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    seq UInt128 CODEC(NONE),
    op Enum8('set_once' = 1, 'set' = 2, 'add' = 3, 'append' = 4, 'unset' = 5),
    value String CODEC(ZSTD)
)
ENGINE = {{engine ReplacingMergeTree}}
ORDER BY (site_id, group_type, group_key, key, timestamp, seq, op)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- only: cluster
CREATE TABLE IF NOT EXISTS {{database}}.group_ops {{on_cluster}}
AS {{database}}.group_ops_local
ENGINE = Distributed({{cluster}}, {{database}}, group_ops_local);

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.group_ops_feed {{on_cluster}}
TO {{database}}.group_ops{{local}} AS
SELECT
    site_id,
    group_type,
    group_key,
    operation.2 AS key,
    timestamp,
    toUInt128(event_id) AS seq,
    operation.1 AS op,
    operation.3 AS value
FROM
(
    SELECT
        site_id,
        props['$group_type'] AS group_type,
        props['$group_key'] AS group_key,
        timestamp,
        event_id,
        properties
    FROM {{database}}.events{{local}}
    WHERE name = '$groupidentify' AND properties != ''
)
ARRAY JOIN arrayConcat(
    arrayMap(
        p -> ('set_once', p.1, p.2),
        JSONExtractKeysAndValuesRaw(properties, '$group_set_once')
    ),
    arrayMap(
        p -> ('set', p.1, p.2), JSONExtractKeysAndValuesRaw(properties, '$group_set')
    ),
    arrayMap(
        p -> ('add', p.1, p.2), JSONExtractKeysAndValuesRaw(properties, '$group_add')
    ),
    arrayMap(
        p -> ('append', p.1, p.2), JSONExtractKeysAndValuesRaw(properties, '$group_append')
    ),
    arrayMap(
        key -> ('unset', key, ''), JSONExtract(properties, '$group_unset', 'Array(String)')
    )
) AS operation;

-- A link says that `alias` is another id of the person `distinct_id`.
CREATE TABLE IF NOT EXISTS {{database}}.person_aliases{{local}} {{on_cluster}}
(
    site_id UInt64 CODEC(Delta, ZSTD),
    alias String CODEC(ZSTD),
    distinct_id String CODEC(ZSTD),
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    seq UInt128 CODEC(NONE)
)
ENGINE = {{engine ReplacingMergeTree}}
ORDER BY (site_id, alias, timestamp, seq)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- only: cluster
CREATE TABLE IF NOT EXISTS {{database}}.person_aliases {{on_cluster}}
AS {{database}}.person_aliases_local
ENGINE = Distributed({{cluster}}, {{database}}, person_aliases_local);

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.person_aliases_feed {{on_cluster}}
TO {{database}}.person_aliases{{local}} AS
SELECT
    site_id,
    props[if(name = '$identify', '$anon_distinct_id', 'alias')] AS alias,
    distinct_id,
    timestamp,
    toUInt128(event_id) AS seq
FROM {{database}}.events{{local}}
WHERE name IN ('$identify', '$create_alias') AND alias != '' AND alias != distinct_id;

-- Every id that was ever linked, and the person it belongs to: the end of the way that
-- starts at the id and takes the newest link of each id on it, 10 links at most. A way
-- that comes back to itself ends at the smallest id of the circle.
CREATE OR REPLACE VIEW {{database}}.person_ids {{on_cluster}} AS
WITH RECURSIVE ways AS
(
    SELECT
        site_id,
        distinct_id,
        if(next = '', [distinct_id], [distinct_id, next]) AS way,
        next = '' AS is_whole
    FROM
    (
        SELECT
            site_id,
            link.1 AS distinct_id,
            argMaxIf(link.2, (timestamp, seq), link.2 != '') AS next
        FROM
        (
            SELECT
                site_id,
                timestamp,
                seq,
                arrayJoin([(alias, distinct_id), (distinct_id, '')]) AS link
            FROM {{database}}.person_aliases
        )
        GROUP BY site_id, distinct_id
    )
    UNION ALL
    SELECT
        ways.site_id,
        ways.distinct_id,
        arrayPushBack(ways.way, links.next),
        has(ways.way, links.next)
    FROM ways
    INNER JOIN
    (
        SELECT site_id, alias, argMax(distinct_id, (timestamp, seq)) AS next
        FROM {{database}}.person_aliases
        GROUP BY site_id, alias
    ) AS links
        ON links.site_id = ways.site_id AND links.alias = ways.way[-1]
    WHERE NOT ways.is_whole AND length(ways.way) <= 10
)
SELECT
    site_id,
    distinct_id,
    arrayMin(arraySlice(longest, indexOf(longest, longest[-1]))) AS person_id
FROM
(
    SELECT site_id, distinct_id, argMax(way, length(way)) AS longest
    FROM ways
    GROUP BY site_id, distinct_id
);

-- What the operations on each property amount to, in the order of their time. Those of
-- all ids of a person count together. An operation is (key, timestamp, seq, op, value), a
-- run those on one key, `now` the value so far as JSON, or nothing:
--
--   set_once   gives a value to a property that has none
--   set        gives a value
--   add        adds a number to a number or to nothing; otherwise it does nothing
--   append     adds an element to a list; another value first becomes a list of one
--   unset      leaves nothing
CREATE OR REPLACE VIEW {{database}}.persons {{on_cluster}} AS
SELECT
    site_id,
    person_id,
    distinct_ids,
    mapFromArrays(
        scalars.1,
        arrayMap(v -> if(startsWith(v, '"'), JSONExtractString(v), v), scalars.2)
    ) AS props,
    concat(
        '{',
        arrayStringConcat(arrayMap(p -> concat(toJSONString(p.1), ':', p.2), known), ','),
        '}'
    ) AS properties
FROM
(
    SELECT
        site_id,
        person_id,
        distinct_ids,
        arrayMap(
            run -> (
                run[1].1,
                arrayFold(
                    (now, op, value) -> multiIf(
                        op = 'set_once', if(now = '', value, now),
                        op = 'set', value,
                        op = 'add', if(
                            isFinite(
                                toFloat64OrNull(if(now = '', '0', now))
                                    + toFloat64OrNull(value) AS sum
                            ),
                            toString(assumeNotNull(sum)),
                            now
                        ),
                        op = 'append', concat(
                            multiIf(
                                now IN ('', '[]'), '[',
                                startsWith(now, '['), concat(left(now, -1), ','),
                                concat('[', now, ',')
                            ),
                            value,
                            ']'
                        ),
                        ''
                    ),
                    run.4,
                    run.5,
                    ''
                )
            ),
            arraySplit(
                (op, is_other) -> is_other,
                ops,
                arrayMap(
                    (key, before) -> key != before,
                    ops.1,
                    arrayPopBack(arrayPushFront(ops.1, ''))
                )
            )
        ) AS folded,
        arrayFilter(p -> p.2 != '', folded) AS known,
        arrayFilter(p -> p.2 != 'null' AND substring(p.2, 1, 1) NOT IN ('[', '{'), known)
            AS scalars
    FROM
    (
        SELECT
            every.site_id AS site_id,
            coalesce(nullIf(ids.person_id, ''), every.distinct_id) AS person_id,
            arraySort(groupUniqArray(every.distinct_id)) AS distinct_ids,
            arrayCompact(arraySort(groupArrayArray(every.ops))) AS ops
        FROM
        (
            SELECT
                site_id,
                distinct_id,
                groupArray((toString(key), timestamp, seq, op, value)) AS ops
            FROM {{database}}.person_ops
            GROUP BY site_id, distinct_id
            UNION ALL
            SELECT site_id, arrayJoin([alias, distinct_id]) AS distinct_id, [] AS ops
            FROM {{database}}.person_aliases
        ) AS every
        LEFT JOIN {{database}}.person_ids AS ids
            ON ids.site_id = every.site_id AND ids.distinct_id = every.distinct_id
        GROUP BY site_id, person_id
    )
);

-- The same for groups.
CREATE OR REPLACE VIEW {{database}}.groups {{on_cluster}} AS
SELECT
    site_id,
    group_type,
    group_key,
    mapFromArrays(
        scalars.1,
        arrayMap(v -> if(startsWith(v, '"'), JSONExtractString(v), v), scalars.2)
    ) AS props,
    concat(
        '{',
        arrayStringConcat(arrayMap(p -> concat(toJSONString(p.1), ':', p.2), known), ','),
        '}'
    ) AS properties
FROM
(
    SELECT
        site_id,
        group_type,
        group_key,
        arrayMap(
            run -> (
                run[1].1,
                arrayFold(
                    (now, op, value) -> multiIf(
                        op = 'set_once', if(now = '', value, now),
                        op = 'set', value,
                        op = 'add', if(
                            isFinite(
                                toFloat64OrNull(if(now = '', '0', now))
                                    + toFloat64OrNull(value) AS sum
                            ),
                            toString(assumeNotNull(sum)),
                            now
                        ),
                        op = 'append', concat(
                            multiIf(
                                now IN ('', '[]'), '[',
                                startsWith(now, '['), concat(left(now, -1), ','),
                                concat('[', now, ',')
                            ),
                            value,
                            ']'
                        ),
                        ''
                    ),
                    run.4,
                    run.5,
                    ''
                )
            ),
            arraySplit(
                (op, is_other) -> is_other,
                ops,
                arrayMap(
                    (key, before) -> key != before,
                    ops.1,
                    arrayPopBack(arrayPushFront(ops.1, ''))
                )
            )
        ) AS folded,
        arrayFilter(p -> p.2 != '', folded) AS known,
        arrayFilter(p -> p.2 != 'null' AND substring(p.2, 1, 1) NOT IN ('[', '{'), known)
            AS scalars
    FROM
    (
        SELECT
            site_id,
            group_type,
            group_key,
            arrayCompact(
                arraySort(groupArray((toString(key), timestamp, seq, op, value)))
            ) AS ops
        FROM {{database}}.group_ops
        GROUP BY site_id, group_type, group_key
    )
);

-- Each event of a person once, with the person as it is now. Events without a distinct id
-- belong to nobody, and those that state something about a group to no person.
CREATE OR REPLACE VIEW {{database}}.person_events {{on_cluster}} AS
SELECT
    events.*,
    events.`meta.key` AS `meta.key`,
    events.`meta.value` AS `meta.value`,
    coalesce(nullIf(ids.person_id, ''), events.distinct_id) AS person_id,
    ids.props AS person_props
FROM {{database}}.events AS events FINAL
GLOBAL LEFT JOIN
(
    SELECT site_id, person_id, props, arrayJoin(distinct_ids) AS distinct_id
    FROM {{database}}.persons
) AS ids
    ON ids.site_id = events.site_id AND ids.distinct_id = events.distinct_id
WHERE events.distinct_id != '' AND events.name != '$groupidentify';

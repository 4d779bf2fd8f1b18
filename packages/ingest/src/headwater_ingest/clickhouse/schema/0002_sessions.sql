-- Sessions, made of their events. A row holds what some events of one session say, as
-- aggregate states: rows merge in any order, and an event that comes twice changes
-- nothing, under whatever token. The view sessions shows one row per session.
--
-- The place of an event in its session is by time, then by event id (as a number:
-- ClickHouse does not order UUIDs as text). One number holds both, since ordering by a
-- tuple costs 2 µs more of the server's CPU per row.
CREATE TABLE IF NOT EXISTS {{database}}.session_states{{local}} {{on_cluster}}
(
    site_id UInt64 CODEC(Delta, ZSTD),
    session_id UInt64,
    start SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD),
    latest SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD),
    has_interaction SimpleAggregateFunction(max, UInt8),
    events AggregateFunction(uniqExact, UUID),
    pageviews AggregateFunction(uniqExactIf, UUID, UInt8),
    entry AggregateFunction(
        argMinIf, Tuple(hostname String, page String), UInt256, UInt8
    ) CODEC(ZSTD),
    exit AggregateFunction(
        argMaxIf, Tuple(hostname String, page String), UInt256, UInt8
    ) CODEC(ZSTD),
    first AggregateFunction(
        argMin,
        Tuple(
            user_id UInt64,
            props Map(String, String),
            referrer String,
            referrer_source String,
            acquisition_channel String,
            click_id_param String,
            utm_medium String,
            utm_source String,
            utm_campaign String,
            utm_content String,
            utm_term String,
            country_code FixedString(2),
            subdivision1_code String,
            subdivision2_code String,
            city_geoname_id UInt32,
            screen_size String,
            operating_system String,
            operating_system_version String,
            browser String,
            browser_version String
        ),
        UInt256
    ) CODEC(ZSTD)
)
ENGINE = {{engine AggregatingMergeTree}}
PARTITION BY toYYYYMM(start)
ORDER BY (site_id, session_id)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- Only for reading: each shard fills its own from its events.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{database}}.session_states {{on_cluster}}
AS {{database}}.session_states_local
ENGINE = Distributed({{cluster}}, {{database}}, session_states_local);

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.session_states_feed {{on_cluster}}
TO {{database}}.session_states{{local}} AS
WITH
    e.name = 'pageview' AS is_pageview,
    (e.hostname, e.pathname) AS page,
    bitOr(
        bitShiftLeft(toUInt256(toUnixTimestamp64Milli(e.timestamp)), 128),
        toUInt256(toUInt128(e.event_id))
    ) AS place
SELECT
    e.site_id AS site_id,
    e.session_id AS session_id,
    min(e.timestamp) AS start,
    max(e.timestamp) AS latest,
    max(e.interactive AND NOT is_pageview) AS has_interaction,
    uniqExactState(e.event_id) AS events,
    uniqExactIfState(e.event_id, is_pageview) AS pageviews,
    argMinIfState(page, place, is_pageview AND e.pathname != '') AS entry,
    argMaxIfState(page, place, is_pageview) AS exit,
    argMinState(
        (
            e.user_id,
            e.props,
            e.referrer,
            e.referrer_source,
            e.acquisition_channel,
            e.click_id_param,
            e.utm_medium,
            e.utm_source,
            e.utm_campaign,
            e.utm_content,
            e.utm_term,
            e.country_code,
            e.subdivision1_code,
            e.subdivision2_code,
            e.city_geoname_id,
            e.screen_size,
            e.operating_system,
            e.operating_system_version,
            e.browser,
            e.browser_version
        ),
        place
    ) AS first
FROM {{database}}.events{{local}} AS e
WHERE e.session_id != 0 AND e.name != 'engagement'
GROUP BY site_id, session_id;

-- Each session once, exactly, whatever was repeated on the way.
CREATE OR REPLACE VIEW {{database}}.sessions {{on_cluster}} AS
SELECT
    session_id,
    site_id,
    first.user_id AS user_id,
    toInt8(1) AS sign,
    entry.hostname AS hostname,
    CAST(latest, 'DateTime64(3, ''UTC'')') AS timestamp,
    CAST(earliest, 'DateTime64(3, ''UTC'')') AS start,
    toUInt8(NOT (pageviews >= 2 OR has_interaction)) AS is_bounce,
    entry.page AS entry_page,
    exit.page AS exit_page,
    exit.hostname AS exit_page_hostname,
    pageviews,
    events,
    toUInt32(
        intDiv(toUnixTimestamp64Milli(timestamp) - toUnixTimestamp64Milli(start), 1000)
    ) AS duration,
    first.props AS entry_meta,
    mapKeys(entry_meta) AS `entry_meta.key`,
    mapValues(entry_meta) AS `entry_meta.value`,
    first.referrer AS referrer,
    first.referrer_source AS referrer_source,
    first.acquisition_channel AS acquisition_channel,
    first.click_id_param AS click_id_param,
    first.utm_medium AS utm_medium,
    first.utm_source AS utm_source,
    first.utm_campaign AS utm_campaign,
    first.utm_content AS utm_content,
    first.utm_term AS utm_term,
    first.country_code AS country_code,
    first.subdivision1_code AS subdivision1_code,
    first.subdivision2_code AS subdivision2_code,
    first.city_geoname_id AS city_geoname_id,
    first.screen_size AS screen_size,
    first.operating_system AS operating_system,
    first.operating_system_version AS operating_system_version,
    first.browser AS browser,
    first.browser_version AS browser_version
FROM
(
    SELECT
        site_id,
        session_id,
        min(start) AS earliest,
        max(latest) AS latest,
        max(has_interaction) AS has_interaction,
        uniqExactMerge(events) AS events,
        uniqExactIfMerge(pageviews) AS pageviews,
        argMinIfMerge(entry) AS entry,
        argMaxIfMerge(exit) AS exit,
        argMinMerge(first) AS first
    FROM {{database}}.session_states
    GROUP BY site_id, session_id
);

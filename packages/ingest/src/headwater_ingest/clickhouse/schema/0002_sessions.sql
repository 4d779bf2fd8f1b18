-- Sessions, made of their events. A row says what one event, or some, add to a session:
-- rows merge in any order, and an event that comes twice changes nothing, under whatever
-- token. The view sessions shows one row per session.
--
-- The place of an event in its session is by time, then by event id (as a number:
-- ClickHouse does not order UUIDs as text). In `first`, `entry` and `exit` it stands, in
-- 24 bytes that sort as texts do, before what the event says, so that the first or last
-- event is the smallest or greatest text. An empty text says that there was no page. It
-- must never win, so `entry` too keeps the greatest, with the bits of the place inverted.
--
-- All of this is plain texts and lists. States of aggregate functions would be shorter to
-- write down, but inserting and merging them takes the server 25 to 35 µs per event, this
-- 3 to 6.
CREATE TABLE IF NOT EXISTS {{database}}.session_states{{local}} {{on_cluster}}
(
    site_id UInt64 CODEC(Delta, ZSTD),
    session_id UInt64,
    start SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD),
    latest SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD),
    has_interaction SimpleAggregateFunction(max, UInt8),
    pageviews SimpleAggregateFunction(groupUniqArrayArray, Array(UUID)),
    others SimpleAggregateFunction(groupUniqArrayArray, Array(UUID)),
    entry SimpleAggregateFunction(max, String) CODEC(ZSTD),
    exit SimpleAggregateFunction(max, String) CODEC(ZSTD),
    first SimpleAggregateFunction(min, String) CODEC(ZSTD)
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

-- One row per event: merges put them together, which costs less than to group each block.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.session_states_feed {{on_cluster}}
TO {{database}}.session_states{{local}} AS
WITH
    e.name = 'pageview' AS is_pageview,
    toUInt64(toUnixTimestamp64Milli(e.timestamp)) AS time,
    toUInt128(e.event_id) AS id,
    concat(
        reverse(reinterpretAsFixedString(time)), reverse(reinterpretAsFixedString(id))
    ) AS place,
    concat(
        reverse(reinterpretAsFixedString(bitNot(time))),
        reverse(reinterpretAsFixedString(bitNot(id)))
    ) AS place_inverted,
    concat(e.hostname, '\0', e.pathname) AS page
SELECT
    e.site_id AS site_id,
    e.session_id AS session_id,
    e.timestamp AS start,
    e.timestamp AS latest,
    e.interactive AND NOT is_pageview AS has_interaction,
    if(is_pageview, [e.event_id], []) AS pageviews,
    if(is_pageview, [], [e.event_id]) AS others,
    if(is_pageview AND e.pathname != '', concat(place_inverted, page), '') AS entry,
    if(is_pageview, concat(place, page), '') AS exit,
    concat(
        place,
        toJSONString(
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
            )
        )
    ) AS first
FROM {{database}}.events{{local}} AS e
WHERE e.session_id != 0 AND e.name != 'engagement';

-- Each session once, exactly, whatever was repeated on the way.
CREATE OR REPLACE VIEW {{database}}.sessions {{on_cluster}} AS
SELECT
    session_id,
    site_id,
    facts.user_id AS user_id,
    toInt8(1) AS sign,
    substring(entry_text, 1, position(entry_text, '\0') - 1) AS hostname,
    CAST(latest, 'DateTime64(3, ''UTC'')') AS timestamp,
    CAST(earliest, 'DateTime64(3, ''UTC'')') AS start,
    toUInt8(NOT (pageviews >= 2 OR has_interaction)) AS is_bounce,
    substring(entry_text, position(entry_text, '\0') + 1) AS entry_page,
    substring(exit_text, position(exit_text, '\0') + 1) AS exit_page,
    substring(exit_text, 1, position(exit_text, '\0') - 1) AS exit_page_hostname,
    pageviews,
    events,
    toUInt32(
        intDiv(toUnixTimestamp64Milli(timestamp) - toUnixTimestamp64Milli(start), 1000)
    ) AS duration,
    facts.props AS entry_meta,
    mapKeys(entry_meta) AS `entry_meta.key`,
    mapValues(entry_meta) AS `entry_meta.value`,
    facts.referrer AS referrer,
    facts.referrer_source AS referrer_source,
    facts.acquisition_channel AS acquisition_channel,
    facts.click_id_param AS click_id_param,
    facts.utm_medium AS utm_medium,
    facts.utm_source AS utm_source,
    facts.utm_campaign AS utm_campaign,
    facts.utm_content AS utm_content,
    facts.utm_term AS utm_term,
    facts.country_code AS country_code,
    facts.subdivision1_code AS subdivision1_code,
    facts.subdivision2_code AS subdivision2_code,
    facts.city_geoname_id AS city_geoname_id,
    facts.screen_size AS screen_size,
    facts.operating_system AS operating_system,
    facts.operating_system_version AS operating_system_version,
    facts.browser AS browser,
    facts.browser_version AS browser_version
FROM
(
    SELECT
        site_id,
        session_id,
        min(s.start) AS earliest,
        max(s.latest) AS latest,
        max(s.has_interaction) AS has_interaction,
        uniqExactArray(arrayConcat(s.pageviews, s.others)) AS events,
        uniqExactArray(s.pageviews) AS pageviews,
        substring(max(s.entry), 25) AS entry_text,
        substring(max(s.exit), 25) AS exit_text,
        JSONExtract(
            substring(min(s.first), 25),
            'Tuple(
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
            )'
        ) AS facts
    FROM {{database}}.session_states AS s
    GROUP BY site_id, session_id
);

-- The sites: one row per site, of which the one with the highest version counts. Every
-- node reads them every few seconds. A removed site stays as a row that says so, because
-- its events stay too, and because a node may still hold it.
CREATE TABLE IF NOT EXISTS {{database}}.sites {{on_cluster}}
(
    id UInt64,
    domain String,
    former_domain String,
    write_keys Array(Tuple(digest String, valid_until Nullable(DateTime64(3, 'UTC')))),
    consolidated Bool,
    rate_limit Nullable(UInt32),
    rate_window_seconds UInt32 DEFAULT 60,
    accept_traffic_until Nullable(Date),
    monthly_quota Nullable(UInt64),
    blocked_addresses Array(String),
    blocked_countries Array(String),
    blocked_pages Array(String),
    allowed_hostnames Array(String),
    revenue_goals Map(String, String),
    allowed_props Array(String),
    time_zone String DEFAULT 'UTC',
    kept_in String,
    removed Bool,
    version UInt64
)
ENGINE = {{shared_engine ReplacingMergeTree(version)}}
ORDER BY id;

-- How many events of each site were accepted in each month, for the quotas. A table of
-- its own, since summing up the minutes of a month every few seconds is no longer cheap
-- when there are many sites.
CREATE TABLE IF NOT EXISTS {{database}}.site_usage{{local}} {{on_cluster}}
(
    site_id UInt64,
    month Date,
    accepted UInt64
)
ENGINE = {{engine SummingMergeTree(accepted)}}
ORDER BY (month, site_id)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- only: cluster
CREATE TABLE IF NOT EXISTS {{database}}.site_usage {{on_cluster}}
AS {{database}}.site_usage_local
ENGINE = Distributed({{cluster}}, {{database}}, site_usage_local, sipHash64(site_id));

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.site_usage_feed {{on_cluster}}
TO {{database}}.site_usage{{local}}
AS SELECT
    c.site_id AS site_id,
    toStartOfMonth(c.minute) AS month,
    sum(c.count) AS accepted
FROM {{database}}.ingest_counters{{local}} AS c
WHERE c.outcome = 'accepted' AND c.site_id != 0
GROUP BY site_id, month;

-- What became of events, per minute and site. Its rows come in the same blocks as events
-- and under the same tokens, so a block that is sent again counts once. Site 0 stands for
-- domains that are no site.
CREATE TABLE IF NOT EXISTS {{database}}.ingest_counters{{local}} {{on_cluster}}
(
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    site_id UInt64,
    outcome LowCardinality(String),
    reason LowCardinality(String),
    count UInt64
)
ENGINE = {{engine SummingMergeTree(count)}}
PARTITION BY toYYYYMM(minute)
ORDER BY (site_id, minute, outcome, reason)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;

-- only: cluster
CREATE TABLE IF NOT EXISTS {{database}}.ingest_counters {{on_cluster}}
AS {{database}}.ingest_counters_local
ENGINE = Distributed({{cluster}}, {{database}}, ingest_counters_local, sipHash64(site_id));

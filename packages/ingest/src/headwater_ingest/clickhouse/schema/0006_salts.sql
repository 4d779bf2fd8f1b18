-- The salt of each day, under which visitors are told apart. The salt that counts is
-- argMin(salt, (created_at, salt)), so that all readers agree whatever arrives when.
--
-- After 48 hours nobody may be able to tell who a visitor was. The service drops the
-- partition of a day by then, which takes it from the disk at once. The TTL is a second
-- net: what it takes out, or a merge, stays on disk for another half minute, not eight.
CREATE TABLE IF NOT EXISTS {{database}}.salts {{on_cluster}}
(
    day Date,
    salt String,
    created_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{shared_engine MergeTree}}
PARTITION BY day
ORDER BY (day, created_at)
TTL toDateTime(day, 'UTC') + INTERVAL 48 HOUR
SETTINGS ttl_only_drop_parts = 1, old_parts_lifetime = 30;

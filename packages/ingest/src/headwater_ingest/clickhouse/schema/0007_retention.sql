-- Days for which the events and sessions of a site are kept; NULL is for ever.
ALTER TABLE {{database}}.sites {{on_cluster}}
    ADD COLUMN IF NOT EXISTS retention_days Nullable(UInt32) AFTER time_zone;

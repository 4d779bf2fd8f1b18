"""What the metrics are called that are told of what happens, and what they mean.

Labels come from closed lists, so the number of series is bounded.
"""

from headwater_ingest.telemetry.accounts import ROW_STATES
from headwater_ingest.telemetry.definition import Definition
from headwater_schema.outcomes import ClientLoss, ErrorCode, Outcome, Reason

EVENTS = Definition(
    "headwater_events_total",
    "counter",
    "Events by what became of them, for requests that were understood.",
    {"outcome": Outcome, "reason": ["", *Reason]},
)
CLIENT_LOSSES = Definition(
    "headwater_client_losses_total",
    "counter",
    "Events that clients say they have lost; they were never received here.",
    {"reason": ClientLoss},
)
REFUSED_PROPERTIES = Definition(
    "headwater_properties_refused_total",
    "counter",
    "Properties that cannot be stored, left out of events that were.",
)
FUTURE_TIMES = Definition(
    "headwater_event_times_future_total",
    "counter",
    "Events of SDKs whose time lay in the future; they have that of their arrival.",
)
REFUSED = Definition(
    "headwater_requests_refused_total",
    "counter",
    "Requests that were refused whole; nothing of them was stored.",
    {"code": ErrorCode},
)
REQUEST_SECONDS = Definition(
    "headwater_request_duration_seconds",
    "histogram",
    "Time from the first byte of a batch to its answer, the disk included.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
REQUEST_BYTES = Definition(
    "headwater_request_body_bytes_total",
    "counter",
    "Bytes of the bodies of batches, as they came.",
)
COMMIT_SECONDS = Definition(
    "headwater_journal_commit_seconds",
    "histogram",
    "Time of one group commit of the journal, the fsync included.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
COMMIT_BATCHES = Definition(
    "headwater_journal_commit_batches",
    "histogram",
    "Batches that shared one group commit; web events that came together are one.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
LOOP_LAG = Definition(
    "headwater_event_loop_lag_seconds",
    "histogram",
    "How late the event loop was for something due, 20 times a second.",
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1),
)
PIPELINE_STEPS = (
    "drop_spam_referrer",
    "put_site",
    "drop_refused",
    "drop_verification_agent",
    "drop_data_centre_ip",
    "drop_threat_ip",
    "drop_shield_hostname",
    "drop_shield_page",
    "drop_shield_ip",
    "put_place",
    "drop_shield_country",
    "put_device",
    "put_attribution",
    "put_revenue",
    "put_user_id",
    "register_session",
)
STEP_SECONDS = Definition(
    "headwater_pipeline_step_seconds",
    "histogram",
    "Time of one step of a web event; one event in 64 is timed. Place and source of a "
    "session are found while it is registered.",
    {"step": PIPELINE_STEPS},
    buckets=(1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 1e-2, 0.1),
)
TRUNCATED_PROPS = Definition(
    "headwater_props_truncated_total",
    "counter",
    "Properties of web events that were left out because there were too many.",
)
MISSING_RATES = Definition(
    "headwater_revenue_rates_missing_total",
    "counter",
    "Web events whose revenue could not be converted, for want of an exchange rate.",
)
TOLD = (
    EVENTS,
    CLIENT_LOSSES,
    STEP_SECONDS,
    TRUNCATED_PROPS,
    MISSING_RATES,
    REFUSED_PROPERTIES,
    FUTURE_TIMES,
    REFUSED,
    REQUEST_SECONDS,
    REQUEST_BYTES,
    COMMIT_SECONDS,
    COMMIT_BATCHES,
    LOOP_LAG,
)

SITE_EVENTS = Definition(
    "headwater_site_events_total",
    "counter",
    "Events of a site by what became of them, since the journal was made. The site is "
    "its domain, its number if it is not known any more, 0 for domains that are none.",
    {"site": [], "outcome": Outcome, "reason": ["", *Reason]},
)
SITE_ROWS = Definition(
    "headwater_site_rows",
    "gauge",
    "Accepted events of a site by where their rows are; together all that were.",
    {"site": [], "state": ROW_STATES},
)
BUILD = Definition(
    "headwater_build_info",
    "gauge",
    "Always 1; the labels say what runs.",
    {"version": [], "python": []},
)

from datetime import date
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.journal import Count, Entry
from headwater_ingest.setting_types import Networks, Secret
from headwater_ingest.settings import Settings
from headwater_ingest.sites.record import SiteRecord, WriteKey
from headwater_ingest.telemetry.state import WebState
from headwater_ingest.visitors.salts import DaySalt
from headwater_ingest.visitors.sessions import Session
from headwater_ingest.worker.protocol import (
    Add,
    Append,
    Ask,
    Begin,
    Failed,
    Finish,
    ForgetSessions,
    LookUp,
    NotStored,
    Prolong,
    PutSalts,
    PutSites,
    ReadAnswer,
    Ready,
    Register,
    Registered,
    Seen,
    StrangeVisit,
    Taken,
    TakenBefore,
    TakenInPart,
    Told,
    ToOwner,
    ToWorker,
    WorkerStatus,
    decode_to_owner,
    decode_to_worker,
    encoder,
)
from headwater_ingest.worker.settings_codec import pack_settings, unpack_settings
from headwater_schema.outcomes import Reason

NUMBER = st.integers(0, 2**64 - 1)
BYTES = st.binary(max_size=40)
TEXT = st.text(max_size=20)
HEADERS = st.lists(st.tuples(BYTES, BYTES), max_size=3)
COUNTS = st.dictionaries(TEXT, st.integers(0, 2**40), max_size=3)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    ids = draw(st.lists(st.binary(min_size=16, max_size=16), max_size=3))
    counts = st.builds(Count, NUMBER, TEXT, TEXT, NUMBER)
    return Entry(
        site_id=draw(NUMBER),
        batch_id=draw(BYTES),
        event_ids=b"".join(ids),
        rows=draw(BYTES),
        row_count=len(ids),
        answer=draw(BYTES),
        ids_digest=draw(BYTES),
        counts=tuple(draw(st.lists(counts, max_size=2))),
    )


WEB = st.builds(
    WebState,
    sessions_local=st.booleans(),
    events_local=NUMBER,
    cache_hits=COUNTS,
    cache_misses=COUNTS,
    data_problems=st.lists(TEXT, max_size=2).map(tuple),
)
STRANGE = st.builds(
    StrangeVisit, NUMBER, NUMBER, st.none() | NUMBER, NUMBER, st.booleans(), BYTES
)
TO_OWNER: st.SearchStrategy[ToOwner] = st.one_of(
    st.builds(Ready),
    st.builds(Append, entries()),
    st.builds(LookUp, BYTES, BYTES),
    st.builds(ReadAnswer, BYTES),
    st.builds(Add, st.builds(Count, NUMBER, TEXT, TEXT, NUMBER)),
    st.builds(Register, st.lists(STRANGE, max_size=3)),
    st.builds(Prolong, st.lists(st.tuples(NUMBER, NUMBER, NUMBER))),
    st.builds(ForgetSessions),
    st.builds(Ask, TEXT, TEXT, BYTES, BYTES, HEADERS, BYTES),
    st.builds(WorkerStatus, WEB),
)
RECORD = st.builds(
    SiteRecord,
    id=NUMBER,
    domain=TEXT,
    write_keys=st.lists(st.builds(WriteKey, TEXT, st.none() | NUMBER)).map(tuple),
    accept_traffic_until=st.none() | st.dates(min_value=date(1970, 1, 1)),
    blocked_pages=st.lists(TEXT).map(tuple),
    revenue_goals=st.dictionaries(TEXT, TEXT, max_size=2),
)
FACTS = st.dictionaries(TEXT, TEXT | NUMBER, max_size=3)
SESSION = st.builds(Session, NUMBER, NUMBER, NUMBER, FACTS)
TO_WORKER: st.SearchStrategy[ToWorker] = st.one_of(
    st.builds(Begin, BYTES, st.integers(-(2**63), 2**63 - 1)),
    st.builds(PutSites, st.lists(RECORD, max_size=2), st.booleans()),
    st.builds(
        PutSalts,
        st.lists(st.builds(DaySalt, NUMBER, BYTES, st.booleans(), NUMBER)).map(tuple),
    ),
    st.builds(Finish),
    st.builds(Taken),
    st.builds(TakenInPart, BYTES),
    st.builds(TakenBefore, BYTES, BYTES),
    st.builds(NotStored),
    st.builds(Failed, TEXT, TEXT),
    st.builds(Seen, st.booleans(), BYTES),
    st.builds(Registered, st.lists(SESSION | NUMBER | st.sampled_from(Reason))),
    st.builds(Told, st.integers(100, 599), HEADERS, BYTES),
)


@given(TO_OWNER)
def test_what_a_worker_says_arrives_as_it_was_said(message: ToOwner) -> None:
    assert decode_to_owner(memoryview(encoder.encode(message))) == message


@given(TO_WORKER)
def test_what_an_owner_says_arrives_as_it_was_said(message: ToWorker) -> None:
    assert decode_to_worker(memoryview(encoder.encode(message))) == message


def test_settings_arrive_as_they_are() -> None:
    settings = Settings(
        admin_token=Secret("0123456789abcdef"),
        spam_file=Path("/somewhere/spam.txt"),
        trusted_proxies=Networks(("10.0.0.0/8",)),
        redis_url="redis://:secret@127.0.0.1/3",
        workers=2,
    )

    arrived = unpack_settings(pack_settings(settings))

    assert arrived == settings
    assert repr(arrived.admin_token) == "'***'"

from headwater_ingest.sites.model import derive_site_id, digest_key


def test_a_site_id_is_what_clickhouse_computes() -> None:
    # SELECT sipHash64('example.com'), ClickHouse 26.9
    assert derive_site_id("example.com") == 6174764473870098345


def test_a_site_id_does_not_depend_on_capitals() -> None:
    assert derive_site_id("Example.COM") == derive_site_id("example.com")


def test_any_text_has_a_digest() -> None:
    assert digest_key("\ud800") != digest_key("")

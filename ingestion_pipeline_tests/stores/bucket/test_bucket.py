"""A bucket that versions are published to: versioned, encrypted as asked, and clear about what it refuses."""

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.response import StreamingBody
from urllib3.exceptions import HTTPError

from ingestion_pipeline.domain.errors import PipelineError, SettingsError, UnavailableError
from ingestion_pipeline.domain.version import Form, key
from ingestion_pipeline.stores.bucket import bucket
from ingestion_pipeline.stores.bucket.bucket import PART, TRIES, Bucket, Encryption
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline.stores.bucket.client import connect
from ingestion_pipeline_tests.stores.bucket import s3_stub
from ingestion_pipeline_tests.stores.bucket.kept import InBucket
from ingestion_pipeline_tests.stores.bucket.publishing import (
    CREDENTIALS,
    LONG_AFTER,
    NAME,
    NOON,
    ONCE,
    entry_key,
    fetched,
    flip,
    publish,
    publish_three,
)
from ingestion_pipeline_tests.stores.bucket.s3_stub import NONE, S3, Fault, Request, flipped, lost, refused

LARGE = os.urandom(1024) * (9 * 1024)
"""More than is sent at once."""


def on(what: str, *faults: Fault, key_has: str = "") -> Callable[[Request], Fault]:
    """The next requests of one kind go wrong so."""
    left = list(faults)

    def decide(request: Request) -> Fault:
        return left.pop(0) if left and request.what == what and key_has in request.key else NONE

    return decide


def asked(s3: S3) -> list[Request]:
    """What is asked from now on."""
    told: list[Request] = []

    def decide(request: Request) -> Fault:
        told.append(request)
        return NONE

    s3.decide = decide
    return told


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "PAUSE", 0)


def test_versions_lie_below_the_prefix(in_bucket: InBucket) -> None:
    manifest = publish(in_bucket.chain, b"csv")
    found = in_bucket.client.list_objects_v2(Bucket=in_bucket.name)["Contents"]
    assert [one["Key"] for one in found] == [f"people/{manifest.key}", f"people/{entry_key(1)}"]
    assert in_bucket.chain.place == f"s3://{in_bucket.name}/people/"


@pytest.mark.parametrize(("prefix", "begins"), [("", ""), ("/", ""), ("a/b/", "a/b/"), ("/a", "a/")])
def test_a_prefix_ends_with_one_slash(prefix: str, begins: str, s3: S3, tmp_path: Path) -> None:
    place = Bucket(connect("us-east-1", None, s3.url, ONCE), s3_stub.BUCKET, prefix, tmp_path)
    manifest = publish(Chain(place, NAME), b"csv")
    assert f"{begins}{manifest.key}" in s3.names()
    assert list(place.names(f"{NAME}/2026")) == [manifest.key]


def test_versioning_is_switched_on(in_bucket: InBucket) -> None:
    manifest = publish(in_bucket.chain, b"csv")
    assert in_bucket.client.get_bucket_versioning(Bucket=in_bucket.name)["Status"] == "Enabled"
    assert manifest.stored.version_id


def test_what_is_asked_once_is_not_asked_again(s3: S3, in_stub: Chain) -> None:
    publish(in_stub, b"one")
    told = asked(s3)
    publish(in_stub, b"two")
    assert [(one.what, one.key.rpartition("/")[2]) for one in told] == [
        ("put_object", "output_20260304T120000000000Z_000.csv"),
        ("put_object", "output_20260304T120000000000Z_001.csv"),
        ("get_object", "output_20260304T120000000000Z_001.csv"),
        ("list_objects_v2", ""),
        ("get_object", "00000001.json"),
        ("put_object", "00000002.json"),
        ("get_object", "00000002.json"),
    ]


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (501, "NotImplemented"), (405, "MethodNotAllowed")]
)
def test_a_bucket_that_keeps_no_versions_is_refused(status: int, code: str, s3: S3, in_stub: Chain) -> None:
    s3.decide = on("put_bucket_versioning", refused(status, code))
    with pytest.raises(SettingsError, match=code) as caught:
        publish(in_stub, b"csv")
    assert caught.value.code == "bucket_unversioned"
    assert "s3:PutBucketVersioning" in caught.value.hint
    assert s3.objects == {}


@pytest.mark.parametrize(("status", "code"), [(409, "OperationAborted"), (503, "SlowDown")])
def test_a_bucket_that_is_busy_is_not_taken_for_one_that_refuses(
    status: int, code: str, s3: S3, in_stub: Chain
) -> None:
    s3.decide = on("put_bucket_versioning", refused(status, code))
    with pytest.raises(UnavailableError):
        publish(in_stub, b"csv")
    publish(in_stub, b"csv")
    assert s3.versioning


def test_a_server_that_never_looks_at_the_condition_is_refused(s3: S3, in_stub: Chain) -> None:
    s3.looks = False
    with pytest.raises(SettingsError, match="gives a name away that is taken") as caught:
        publish(in_stub, b"csv")
    assert caught.value.code == "bucket_unconditional"
    assert list(in_stub.listing()) == []
    assert [len(versions) for versions in s3.objects.values()] == [1]


def test_a_version_overwritten_in_the_bucket_is_still_given_back(in_bucket: InBucket) -> None:
    manifest = publish(in_bucket.chain, b"the csv")
    in_bucket.client.put_object(Bucket=in_bucket.name, Key=f"people/{manifest.key}", Body=b"another")
    assert in_bucket.bytes_of(manifest.key) == b"another"
    assert fetched(in_bucket.chain, manifest) == b"the csv"
    in_bucket.client.delete_object(Bucket=in_bucket.name, Key=f"people/{manifest.key}")
    assert fetched(in_bucket.chain, manifest) == b"the csv"
    assert [version.good for version in in_bucket.chain.listing()] == [True]


@pytest.mark.parametrize("form", [Form.CSV, Form.ZSTD])
def test_a_large_version_is_sent_in_parts(form: Form, in_bucket: InBucket, s3: S3, in_stub: Chain) -> None:
    csv = os.urandom(PART + 1)
    manifest = publish(in_bucket.chain, csv, form=form)
    head = in_bucket.client.head_object(Bucket=in_bucket.name, Key=f"people/{manifest.key}")
    assert head["ETag"].endswith('-2"')
    assert fetched(in_bucket.chain, manifest) == csv
    assert in_bucket.chain.is_good(manifest)
    told = asked(s3)
    assert fetched(in_stub, publish(in_stub, csv, form=form)) == csv
    assert next(one.size for one in told if one.what == "upload_part") == PART
    assert [one.headers["if-none-match"] for one in told if one.what == "complete_multipart_upload"] == ["*"]
    assert s3.uploads == {}


def test_a_part_s_worth_is_sent_at_once(s3: S3, in_stub: Chain) -> None:
    told = asked(s3)
    publish(in_stub, LARGE[:PART])
    assert "upload_part" not in [one.what for one in told]


def test_a_large_version_takes_nobody_s_name(in_bucket: InBucket) -> None:
    one, other = publish(in_bucket.chain, LARGE), publish(in_bucket.chain, LARGE[::-1])
    assert one.key != other.key
    assert fetched(in_bucket.chain, one) == LARGE
    assert fetched(in_bucket.chain, other) == LARGE[::-1]
    assert "Uploads" not in in_bucket.client.list_multipart_uploads(Bucket=in_bucket.name)


@pytest.mark.parametrize("what", ["upload_part", "complete_multipart_upload"])
def test_an_upload_in_parts_that_fails_is_aborted(what: str, s3: S3, in_stub: Chain) -> None:
    s3.decide = on(what, refused(500, "InternalError"))
    with pytest.raises(UnavailableError):
        publish(in_stub, LARGE)
    assert (s3.uploads, s3.names()) == ({}, [])


def test_an_upload_that_was_completed_unheard_is_sent_anew(s3: S3, in_stub: Chain) -> None:
    s3.decide = on("upload_part", lost(404, "NoSuchUpload"))
    manifest = publish(in_stub, LARGE)
    assert fetched(in_stub, manifest) == LARGE
    assert s3.uploads == {}


def test_a_name_asked_for_by_others_at_this_moment_is_asked_for_again(s3: S3, in_stub: Chain) -> None:
    conflict = refused(409, "ConditionalRequestConflict")
    s3.decide = on("put_object", *[conflict] * (TRIES - 1), key_has=".csv")
    assert publish(in_stub, b"csv").key.endswith("_000.csv")


def test_a_bucket_that_is_always_busy_is_unavailable_in_the_end(s3: S3, in_stub: Chain) -> None:
    told: list[str] = []

    def decide(request: Request) -> Fault:
        told.append(request.what)
        return refused(409, "ConditionalRequestConflict") if request.what == "put_object" else NONE

    s3.decide = decide
    with pytest.raises(UnavailableError) as caught:
        publish(in_stub, b"csv")
    assert caught.value.code == "bucket_busy"
    assert told.count("put_object") == TRIES


def test_an_entry_whose_answer_was_lost_is_known_again(s3: S3, tmp_path: Path) -> None:
    patient = connect("us-east-1", None, s3.url, replace(ONCE, attempts=2))
    chain = Chain(Bucket(patient, s3_stub.BUCKET, "", tmp_path), NAME)
    s3.decide = on("put_object", lost(500, "InternalError"), key_has="manifests")
    manifest = publish(chain, b"csv")
    assert [version.manifest for version in chain.listing()] == [manifest]
    assert s3.names() == [manifest.key, entry_key(1)]


@pytest.mark.parametrize("csv", [b"csv", LARGE], ids=["at once", "in parts"])
@pytest.mark.parametrize("fault", [flipped(1), s3_stub.shortened(1)], ids=["flipped", "shortened"])
def test_what_the_bucket_does_not_hold_is_not_published(
    fault: Fault, csv: bytes, s3: S3, in_stub: Chain
) -> None:
    what = "put_object" if csv == b"csv" else "upload_part"
    s3.decide = on(what, fault, key_has=".csv")
    with pytest.raises(UnavailableError, match="does not hold what was sent") as caught:
        publish(in_stub, csv)
    assert caught.value.code == "damaged_upload"
    assert caught.value.hint
    assert (s3.names(), list(in_stub.listing())) == ([], [])
    assert not any(s3.objects.values())


def test_an_entry_that_the_bucket_does_not_hold_is_taken_back(s3: S3, in_stub: Chain) -> None:
    s3.decide = on("put_object", flipped(100), key_has="manifests")
    with pytest.raises(UnavailableError) as caught:
        publish(in_stub, b"csv")
    assert caught.value.code == "damaged_upload"
    assert list(in_stub.listing()) == []
    assert publish(in_stub, b"csv").number == 1


def test_what_vanishes_before_it_is_read_back_is_not_published(s3: S3, in_stub: Chain) -> None:
    s3.decide = on("get_object", refused(404, "NoSuchKey"), key_has=".csv")
    with pytest.raises(UnavailableError) as caught:
        publish(in_stub, b"csv")
    assert caught.value.code == "damaged_upload"


def test_damage_that_the_client_notices_itself_is_damage_of_one_version(s3: S3, in_stub: Chain) -> None:
    first, _, _ = publish_three(in_stub)
    stored = s3.current(first.key)
    assert stored is not None
    assert stored.headers["x-amz-checksum-sha256"]
    stored.body = flip(b"csv 0")
    amiss = [version.amiss for version in in_stub.listing()]
    assert amiss == [None, None, "its bytes are not those that were published"]


def test_a_version_in_an_archive_hides_no_other(s3: S3, in_stub: Chain) -> None:
    publish_three(in_stub)
    s3.decide = on("get_object", refused(403, "InvalidObjectState"), key_has="0305T")
    amiss = [version.amiss for version in in_stub.listing()]
    assert amiss == [None, "it was moved to an archive", None]


@pytest.mark.parametrize("to", [0, 1, 100])
def test_a_list_that_is_cut_is_not_a_shorter_one(to: int, s3: S3, in_stub: Chain) -> None:
    s3.page = 2
    publish_three(in_stub)
    for skipped in range(2):
        s3.decide = on("list_objects_v2", *[NONE] * skipped, Fault(download=to))
        with pytest.raises(UnavailableError) as caught:
            list(in_stub.listing(read=False))
        assert caught.value.code == "bucket_unavailable"


@pytest.mark.parametrize("what", ["create_multipart_upload", "list_multipart_uploads"])
def test_an_answer_that_is_cut_is_none(what: str, s3: S3, stubbed: Bucket) -> None:
    chain = Chain(stubbed, NAME)
    s3.decide = on(what, Fault(download=1), Fault(download=0))
    for _ in range(2):
        with pytest.raises(UnavailableError):
            chain.sweep(LONG_AFTER) if what.startswith("list") else publish(chain, LARGE)


def test_a_listing_that_is_cut_says_so(s3: S3, in_stub: Chain) -> None:
    publish_three(in_stub)
    s3.decide = on("get_object", Fault(download=1), key_has=".csv")
    with pytest.raises(UnavailableError) as caught:
        list(in_stub.listing())
    assert caught.value.code == "bucket_unavailable"


@pytest.mark.parametrize(
    ("encryption", "said"),
    [
        (Encryption(), (None, None)),
        (Encryption("AES256"), ("AES256", None)),
        (Encryption("aws:kms"), ("aws:kms", None)),
        (Encryption("aws:kms", "the-key"), ("aws:kms", "the-key")),
    ],
)
@pytest.mark.parametrize("csv", [b"csv", LARGE], ids=["at once", "in parts"])
def test_encryption_is_asked_for(
    csv: bytes, encryption: Encryption, said: tuple[str | None, str | None], s3: S3, tmp_path: Path
) -> None:
    client = connect("us-east-1", None, s3.url, ONCE)
    told = asked(s3)
    publish(Chain(Bucket(client, s3_stub.BUCKET, "", tmp_path, encryption), NAME), csv)
    names = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
    begun = [one for one in told if one.what in ("put_object", "create_multipart_upload")]
    assert len(begun) == 3
    assert {tuple(one.headers.get(name) for name in names) for one in begun} == {said}


def test_what_is_encrypted_there_is_given_back(in_bucket: InBucket, tmp_path: Path) -> None:
    place = Bucket(in_bucket.client, in_bucket.name, "", tmp_path, Encryption("AES256"))
    manifest = publish(Chain(place, NAME), b"csv")
    head = in_bucket.client.head_object(Bucket=in_bucket.name, Key=manifest.key)
    assert head["ServerSideEncryption"] == "AES256"
    assert fetched(Chain(place, NAME), manifest) == b"csv"


def test_drafts_are_their_owner_s(in_bucket: InBucket, tmp_path: Path) -> None:
    with in_bucket.chain.draft(Form.CSV) as new:
        new.write(b"csv")
        (draft,) = in_bucket.place.drafts.iterdir()
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600
    for folder in (tmp_path / "state", in_bucket.place.drafts):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def said_by(error: PipelineError) -> str:
    assert error.hint
    return f"{error!r} {error} {error.hint} {error.__cause__}"


def publish_refused(chain: Chain) -> UnavailableError:
    """What is said of a place that cannot be used; no secret is."""
    with pytest.raises(UnavailableError) as caught:
        publish(chain, b"csv")
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in said_by(caught.value)
    assert caught.value.place.file is not None
    assert caught.value.place.file.startswith("s3://")
    with pytest.raises(UnavailableError):
        list(chain.listing())
    return caught.value


def test_a_server_that_is_away_is_unavailable(stubbed_away: Chain) -> None:
    error = publish_refused(stubbed_away)
    assert (error.code, error.message) == (
        "bucket_unavailable",
        "the bucket cannot be used: EndpointConnectionError",
    )
    assert "Try again" in error.hint


@pytest.fixture
def stubbed_away(tmp_path: Path) -> Chain:
    with s3_stub.serving() as gone:
        url = gone.url
    return Chain(Bucket(connect("us-east-1", None, url, ONCE), s3_stub.BUCKET, "", tmp_path), NAME)


def test_a_server_that_never_answers_is_unavailable(s3: S3, tmp_path: Path) -> None:
    client = connect("us-east-1", None, s3.url, replace(ONCE, read=0.2))
    s3.decide = lambda _request: Fault(wait=1)
    error = publish_refused(Chain(Bucket(client, s3_stub.BUCKET, "", tmp_path), NAME))
    assert (error.code, error.message) == (
        "bucket_unavailable",
        f"the bucket cannot be used: {ReadTimeoutError.__name__}",
    )


def test_without_credentials_the_bucket_cannot_be_used(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    client = connect("us-east-1", None, s3.url, ONCE)
    error = publish_refused(Chain(Bucket(client, s3_stub.BUCKET, "", tmp_path), NAME))
    assert (error.code, error.message) == ("bucket_refused", "the bucket cannot be used: NoCredentialsError")
    assert "credentials" in error.hint


@pytest.mark.parametrize(
    ("status", "code", "as_ours"),
    [
        (403, "AccessDenied", "bucket_refused"),
        (403, "InvalidAccessKeyId", "bucket_refused"),
        (400, "ExpiredToken", "bucket_refused"),
        (301, "PermanentRedirect", "bucket_refused"),
        (501, "NotImplemented", "bucket_refused"),
        (500, "InternalError", "bucket_unavailable"),
        (503, "SlowDown", "bucket_unavailable"),
        (400, "RequestTimeout", "bucket_unavailable"),
    ],
)
def test_a_refusal_says_whether_to_try_again(
    status: int, code: str, as_ours: str, s3: S3, in_stub: Chain
) -> None:
    s3.decide = lambda _request: refused(status, code)
    error = publish_refused(in_stub)
    assert (error.code, error.message) == (as_ours, f"the bucket cannot be used: {code}")
    assert ("Try again" in error.hint) == (as_ours == "bucket_unavailable")


@pytest.mark.parametrize("name", ["there-is-none", "No Bucket's Name"])
def test_a_bucket_that_is_not_there_is_named(name: str, in_bucket: InBucket, tmp_path: Path) -> None:
    error = publish_refused(Chain(Bucket(in_bucket.client, name, "", tmp_path), NAME))
    assert error.code == "bucket_refused"
    assert name in str(error)
    assert "ingest doctor" in error.hint


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (200, b"<html>Welcome", "bucket_unavailable", "500"),
        (404, b"<html>No such page", "bucket_refused", "404"),
        (404, b"<other/>", "bucket_refused", "unknown"),
    ],
)
def test_a_server_that_speaks_something_else_is_unavailable(
    status: int, body: bytes, code: str, said: str, s3: S3, in_stub: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = s3_stub.Answer(status, body)
    for what in ("list_objects_v2", "put_object"):
        monkeypatch.setattr(s3, f"_{what}", lambda _request, _body: answer)
    error = publish_refused(in_stub)
    assert (error.code, error.message) == (code, f"the bucket cannot be used: {said}")


def test_a_line_that_fails_in_the_middle_is_unavailable(
    s3: S3, in_stub: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_body: StreamingBody, amt: int) -> bytes:
        raise HTTPError(f"cut before {amt}")

    publish_three(in_stub)
    assert s3.names()
    monkeypatch.setattr(StreamingBody, "read", read)
    with pytest.raises(UnavailableError) as caught:
        list(in_stub.listing())
    assert caught.value.code == "bucket_unavailable"


@pytest.mark.parametrize(
    "named",
    [{"profile": "s3cr3t-CANARY"}, {"endpoint_url": "https://"}, {"region": "no region"}],
    ids=["profile", "endpoint_url", "region"],
)
def test_a_client_that_cannot_be_made_is_a_matter_of_the_settings(named: dict[str, str]) -> None:
    given: dict[str, Any] = {"region": None, "profile": None, "endpoint_url": None} | named
    with pytest.raises(SettingsError) as caught:
        connect(**given)
    assert caught.value.code == "bucket_client"
    assert "exports.profile" in caught.value.hint
    assert "CANARY" not in said_by(caught.value)


def test_only_the_settings_name_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere.example")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://elsewhere.example")
    assert connect("eu-central-1", None, None).meta.endpoint_url.startswith("https://s3.")


def test_an_open_bucket_is_noticed(in_bucket: InBucket) -> None:
    place, client, name = in_bucket.place, in_bucket.client, in_bucket.name
    assert isinstance(place, Bucket)
    assert not place.is_public()
    client.put_bucket_acl(Bucket=name, ACL="public-read")
    assert place.is_public()
    client.put_bucket_acl(Bucket=name, ACL="authenticated-read")
    assert place.is_public()
    client.put_bucket_acl(Bucket=name, ACL="private")
    assert not place.is_public()
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{name}/*",
    }
    client.put_bucket_policy(
        Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    assert place.is_public()
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(blocks, True))
    assert not place.is_public()


def test_a_bucket_that_cannot_say_whether_it_is_open_is_not_called_so(s3: S3, stubbed: Bucket) -> None:
    s3.decide = lambda _request: refused(501, "NotImplemented")
    assert not stubbed.is_public()
    s3.decide = lambda _request: refused(403, "AccessDenied")
    with pytest.raises(UnavailableError, match="AccessDenied"):
        stubbed.is_public()


def test_a_file_in_the_bucket_s_keys_is_in_order(in_bucket: InBucket) -> None:
    published = publish_three(in_bucket.chain)
    assert list(in_bucket.place.names(f"{NAME}/2026")) == [one.key for one in published]
    assert key(NAME, NOON, 0, Form.CSV) == published[0].key

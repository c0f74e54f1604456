"""A bucket of S3, or of anything that speaks its language, that versions are published to."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, FlexibleChecksumError

from ingestion_pipeline.domain.errors import Place as Where
from ingestion_pipeline.domain.errors import SettingsError, UnavailableError
from ingestion_pipeline.stores.atomic import CHUNK, Draft, Written, make_folder
from ingestion_pipeline.stores.bucket.place import UnreadableError, sweep_drafts
from ingestion_pipeline.stores.bucket.refusals import (
    FAULTS,
    BusyError,
    code_of,
    is_not_offered,
    is_refused,
    refusals,
    told,
)

PART = 8 * 1024 * 1024
"""Bytes sent together; a larger file goes in several parts."""

TRIES = 5
"""How often a name is asked for while others ask for it too."""

PAUSE = 0.1
"""Seconds until it is asked for again; doubled each time."""

_UNSAID = frozenset({"NoSuchPublicAccessBlockConfiguration", "NoSuchBucketPolicy"})
_EVERYBODY = ("/global/AllUsers", "/global/AuthenticatedUsers")


@dataclass(frozen=True, slots=True)
class Encryption:
    """How the bucket encrypts what it is sent.

    Attributes:
        method: AES256 or aws:kms; None to leave it to the bucket.
        kms_key_id: The key of aws:kms; None for the account's own.
    """

    method: str | None = None
    kms_key_id: str | None = None

    @property
    def asked(self) -> dict[str, str]:
        """What an upload asks for."""
        asked = {"ServerSideEncryption": self.method, "SSEKMSKeyId": self.kms_key_id}
        return {name: value for name, value in asked.items() if value}


class Bucket:
    """See `place.Place`. Versioning is switched on before the first upload.

    Args:
        client: A client of boto3 for S3.
        name: The bucket.
        prefix: What every key begins with, up to a slash; '' for nothing.
        drafts: A local folder for what is about to be sent.
        encryption: How it is encrypted there.
    """

    def __init__(
        self, client: Any, name: str, prefix: str, drafts: Path, encryption: Encryption = Encryption()
    ) -> None:
        self._client = client
        self._name = name
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._drafts = drafts
        self._encryption = encryption.asked
        self._keeps_versions = False
        self._refuses_taken = False

    @property
    def where(self) -> str:
        """The bucket and the prefix."""
        return f"s3://{self._name}/{self._prefix}"

    @property
    def drafts(self) -> Path:
        """The local folder."""
        make_folder(self._drafts)
        return self._drafts

    def create(self, key: str, draft: Draft) -> str | None:
        """Publish a file under a name that nobody has, once it has been read back."""
        self._keep_versions()
        written = draft.settle()
        version_id = self._sent(key, draft)
        self._check_stored(key, version_id, written)
        self._check_taken(key)
        return version_id

    def read(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        """The bytes under a name, in pieces."""
        which = {} if version_id is None else {"VersionId": version_id}
        with self._refusals(key):
            body = self._client.get_object(Bucket=self._name, Key=self._prefix + key, **which)["Body"]
            # Whoever reads has a digest of their own, by which to name what is damaged.
            with body, suppress(FlexibleChecksumError):
                while chunk := body.read(CHUNK):
                    yield chunk

    def names(self, prefix: str) -> Iterator[str]:
        """Every key that begins so, in order."""
        with self._refusals(prefix):
            for page in self._pages("list_objects_v2", prefix):
                for found in page.get("Contents", ()):
                    yield str(found["Key"]).removeprefix(self._prefix)

    def remove(self, key: str) -> None:
        """Take a name away; the bucket keeps the bytes as long as its own rules say."""
        self._remove(key, None)

    def sweep(self, prefix: str, before: datetime) -> int:
        """Take away drafts, and the parts of uploads, that were begun before that time and never finished."""
        ended = 0
        with self._refusals(prefix):
            for page in self._pages("list_multipart_uploads", prefix):
                for begun in page.get("Uploads", ()):
                    if begun["Initiated"] < before:
                        ended += self._ended(begun["Key"], begun["UploadId"])
        return ended + sweep_drafts(self._drafts, before)

    def _pages(self, what: str, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator(what)
        for page in pages.paginate(Bucket=self._name, Prefix=self._prefix + prefix):
            told(page, "IsTruncated")
            yield page

    def is_public(self) -> bool:
        """Whether people who were not let in by name may read the bucket, as far as it says."""
        block = self._said("get_public_access_block").get("PublicAccessBlockConfiguration", {})
        if block and all(block.values()):
            return False
        grants = self._said("get_bucket_acl").get("Grants", ())
        if any(one["Grantee"].get("URI", "").endswith(_EVERYBODY) for one in grants):
            return True
        status = self._said("get_bucket_policy_status").get("PolicyStatus", {})
        return bool(status.get("IsPublic"))

    def _said(self, what: str) -> dict[str, Any]:
        """What the bucket says of itself; nothing where nobody has told it, or where that is not offered."""
        with self._refusals():
            try:
                return dict(getattr(self._client, what)(Bucket=self._name))
            except ClientError as error:
                if code_of(error) in _UNSAID or is_not_offered(error):
                    return {}
                raise

    def _keep_versions(self) -> None:
        """See that a later upload can take nothing away."""
        if self._keeps_versions:
            return
        with self._refusals():
            found = self._client.get_bucket_versioning(Bucket=self._name).get("Status")
            if found != "Enabled":
                self._begin_versions()
        self._keeps_versions = True

    def _begin_versions(self) -> None:
        try:
            self._client.put_bucket_versioning(
                Bucket=self._name, VersioningConfiguration={"Status": "Enabled"}
            )
        except ClientError as error:
            if not is_refused(error):
                raise
            raise SettingsError(
                f"the bucket keeps no versions, and does not let this be changed ({code_of(error)})",
                code="bucket_unversioned",
                place=Where(file=self.where),
                hint="Switch the bucket's versioning on, or allow s3:PutBucketVersioning.",
            ) from None

    def _check_stored(self, key: str, version_id: str | None, written: Written) -> None:
        """Read back what was sent; what is not that is taken away."""
        found, size = sha256(), 0
        with suppress(FileNotFoundError, UnreadableError):
            for chunk in self.read(key, version_id):
                found.update(chunk)
                size += len(chunk)
        if (found.hexdigest(), size) == (written.sha256, written.size):
            return
        with suppress(UnavailableError):
            self._remove(key, version_id)
        raise UnavailableError(
            "the bucket does not hold what was sent to it",
            code="damaged_upload",
            place=Where(file=self.where + key),
            hint="Nothing was published. Publish again; should it stay so, ask whoever runs the bucket.",
        )

    def _check_taken(self, key: str) -> None:
        """See once that a name which is taken is refused: some servers never look at the condition."""
        if self._refuses_taken:
            return
        answer: dict[str, str] | None = None
        with suppress(FileExistsError, BusyError), self._refusals(key):
            answer = self._client.put_object(
                Bucket=self._name, Key=self._prefix + key, Body=b"", IfNoneMatch="*", **self._encryption
            )
        if answer is not None:
            self._remove(key, _version_id(answer))
            raise SettingsError(
                "the bucket gives a name away that is taken: of two who publish at once, one would be lost",
                code="bucket_unconditional",
                place=Where(file=self.where),
                hint="Use a server that knows If-None-Match, or a folder. Nothing was published.",
            )
        self._refuses_taken = True

    def _sent(self, key: str, draft: Draft) -> str | None:
        for attempt in count(1):
            try:
                with self._refusals(key):
                    if draft.size <= PART:
                        return self._sent_at_once(key, draft)
                    return self._sent_in_parts(key, draft)
            except BusyError:
                if attempt == TRIES:
                    raise
                time.sleep(PAUSE * 2 ** (attempt - 1))
        raise AssertionError

    def _sent_at_once(self, key: str, draft: Draft) -> str | None:
        answer = self._client.put_object(
            Bucket=self._name,
            Key=self._prefix + key,
            Body=b"".join(draft.pieces(PART)),
            IfNoneMatch="*",
            ChecksumAlgorithm="SHA256",
            **self._encryption,
        )
        return _version_id(answer)

    def _sent_in_parts(self, key: str, draft: Draft) -> str | None:
        upload = {"Bucket": self._name, "Key": self._prefix + key}
        begun = self._client.create_multipart_upload(**upload, ChecksumAlgorithm="SHA256", **self._encryption)
        upload["UploadId"] = told(begun, "UploadId")
        try:
            parts = [
                self._part(upload, number, piece) for number, piece in enumerate(draft.pieces(PART), start=1)
            ]
            answer = self._client.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except BaseException:
            with suppress(ClientError, *FAULTS):
                self._abort(upload["Key"], upload["UploadId"])
            raise
        return _version_id(answer)

    def _part(self, upload: dict[str, str], number: int, piece: bytes) -> dict[str, object]:
        answer = self._client.upload_part(**upload, PartNumber=number, Body=piece, ChecksumAlgorithm="SHA256")
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        checksum = answer.get("ChecksumSHA256")
        return part if checksum is None else part | {"ChecksumSHA256": checksum}

    def _abort(self, key: str, upload_id: str) -> None:
        self._client.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=upload_id)

    def _ended(self, key: str, upload_id: str) -> bool:
        """Abort an upload, unless that has been done meanwhile."""
        try:
            self._abort(key, upload_id)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise
            return False
        return True

    def _remove(self, key: str, version_id: str | None) -> None:
        which = {} if version_id is None else {"VersionId": version_id}
        with suppress(FileNotFoundError), self._refusals(key):
            self._client.delete_object(Bucket=self._name, Key=self._prefix + key, **which)

    def _refusals(self, key: str = "") -> AbstractContextManager[None]:
        return refusals(self.where, key)


def _version_id(answer: dict[str, str]) -> str | None:
    return answer.get("VersionId")

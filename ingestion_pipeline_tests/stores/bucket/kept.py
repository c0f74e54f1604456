"""What lies in a folder and in a bucket, and may be changed there behind the chain's back."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from ingestion_pipeline.stores.bucket.bucket import Bucket
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline.stores.bucket.client import connect
from ingestion_pipeline.stores.bucket.folder import Folder
from ingestion_pipeline.stores.bucket.place import Place
from ingestion_pipeline_tests.stores.bucket.publishing import NAME, ONCE

Change = Callable[[bytes], bytes]


class Kept(Protocol):
    """A place, and what is done there behind the chain's back."""

    @property
    def place(self) -> Place: ...

    @property
    def chain(self) -> Chain: ...

    def names(self) -> list[str]: ...

    def bytes_of(self, key: str) -> bytes: ...

    def put(self, key: str, stored: bytes) -> None: ...

    def damage(self, key: str, change: Change) -> None: ...

    def lose(self, key: str) -> None: ...


class InFolder:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place: Place = Folder(folder)
        self.chain = Chain(self.place, NAME)

    def names(self) -> list[str]:
        found = self.folder.rglob("*")
        return sorted(path.relative_to(self.folder).as_posix() for path in found if path.is_file())

    def bytes_of(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()

    def put(self, key: str, stored: bytes) -> None:
        (self.folder / key).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / key).write_bytes(stored)

    def damage(self, key: str, change: Change) -> None:
        self.put(key, change(self.bytes_of(key)))

    def lose(self, key: str) -> None:
        (self.folder / key).unlink()


@cache
def client_of(url: str) -> Any:
    """One client for all tests: making it takes longer than most of them."""
    return connect("us-east-1", None, url, ONCE)


class InBucket:
    """A bucket of moto's."""

    def __init__(self, url: str, name: str, drafts: Path) -> None:
        self.name = name
        self.client = client_of(url)
        self.client.create_bucket(Bucket=name)
        self.place: Place = Bucket(self.client, name, "people/", drafts)
        self.chain = Chain(self.place, NAME)
        # Moto's own store, in which the very bytes can be changed that nobody can change in S3.
        self._backend: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", ())
        return [str(one["Key"]).removeprefix("people/") for one in found]

    def bytes_of(self, key: str) -> bytes:
        found = self.client.get_object(Bucket=self.name, Key=f"people/{key}")
        return bytes(found["Body"].read())

    def put(self, key: str, stored: bytes) -> None:
        self._backend.put_object(self.name, f"people/{key}", stored)

    def damage(self, key: str, change: Change) -> None:
        stored = self._backend.get_object(self.name, f"people/{key}")
        stored.value = change(stored.value)

    def lose(self, key: str) -> None:
        stored = self._backend.get_object(self.name, f"people/{key}")
        self.client.delete_object(Bucket=self.name, Key=f"people/{key}", VersionId=stored.version_id)

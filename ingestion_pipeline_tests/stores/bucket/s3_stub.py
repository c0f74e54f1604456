"""As much of S3 as versions need, over plain HTTP, and as unreliable as it is told to be."""

import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "people"
PAGE = 1000
"""Names that are listed at once."""

_CHUNK = 64 * 1024
_PARTS = re.compile(rb"<PartNumber>(\d+)</PartNumber>")


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        what: The method of boto3's client.
        key: The object.
        size: Bytes that are sent with it.
    """

    what: str
    key: str
    size: int
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        upto: The line is cut when so many bytes have come.
        answer: The status and code that are answered.
        silent: The line is cut rather than anything answered.
        done: Whether what was asked is done nevertheless.
        download: The line is cut when so many bytes of the answer have gone out.
        spoil: What is stored instead.
        wait: Seconds that it takes.
        then: Called when the line is cut.
    """

    upto: int | None = None
    answer: tuple[int, str] | None = None
    silent: bool = False
    done: bool = True
    download: int | None = None
    spoil: Callable[[bytes], bytes] = bytes
    wait: float = 0
    then: Callable[[], object] = lambda: None


NONE = Fault()


def refused(status: int, code: str) -> Fault:
    """It is not done."""
    return Fault(answer=(status, code), done=False)


def lost(status: int, code: str) -> Fault:
    """It is done, and the answer says that it is not."""
    return Fault(answer=(status, code))


def flipped(at: int) -> Fault:
    """One byte is stored as another."""

    def spoil(body: bytes) -> bytes:
        place = at % max(1, len(body))
        return body[:place] + bytes(byte ^ 1 for byte in body[place : place + 1]) + body[place + 1 :]

    return Fault(spoil=spoil)


def shortened(to: int) -> Fault:
    """The end is not stored."""
    return Fault(spoil=lambda body: body[:to])


Decide = Callable[[Request], Fault]


@dataclass
class Kept:
    """One version of an object; without bytes it is the mark of a deletion."""

    version_id: str
    body: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Upload:
    """An upload in parts that is neither complete nor aborted."""

    key: str
    begun: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """What was asked is not done; the status and the code say why."""


class S3:
    """One bucket.

    Attributes:
        objects: Every version of every key, the newest last.
        uploads: By id, those that are neither complete nor aborted.
        versioning: Whether versions are kept.
        looks: Whether If-None-Match is looked at.
        page: Names that are listed at once.
        decide: What is to go wrong.
        failed: What went wrong with the stub itself.
    """

    def __init__(self) -> None:
        self.objects: dict[str, list[Kept]] = {}
        self.uploads: dict[str, Upload] = {}
        self.versioning = False
        self.looks = True
        self.page = PAGE
        self.decide: Decide = lambda _request: NONE
        self.failed: list[str] = []
        self.url = ""
        self._numbers = count(1)
        self._one = threading.Lock()

    def current(self, key: str) -> Kept | None:
        """The newest version, unless it was deleted."""
        versions = self.objects.get(key)
        return versions[-1] if versions and versions[-1].body is not None else None

    def names(self) -> list[str]:
        """The keys that are there."""
        return sorted(key for key in self.objects if self.current(key))

    def perform(self, request: Request, body: bytes) -> Answer:
        """Do what is asked.

        Raises:
            RefusedError: It cannot be.
        """
        with self._one:
            answer: Answer = getattr(self, f"_{request.what}")(request, body)
            return answer

    def put(self, key: str, body: bytes, headers: Mapping[str, str] | None = None) -> str:
        """Store an object, whoever has the name."""
        version_id = f"version-{next(self._numbers)}"
        kept = Kept(version_id, body, headers or {})
        self.objects[key] = [*(self.objects.get(key, []) if self.versioning else []), kept]
        return version_id

    def _refuse_taken(self, request: Request) -> None:
        if self.looks and request.headers.get("if-none-match") == "*" and self.current(request.key):
            raise RefusedError(412, "PreconditionFailed")

    def _version(self, version_id: str) -> dict[str, str]:
        return {"x-amz-version-id": version_id} if self.versioning else {}

    def _put_object(self, request: Request, body: bytes) -> Answer:
        self._refuse_taken(request)
        told = {name: value for name, value in request.headers.items() if name == "x-amz-checksum-sha256"}
        version_id = self.put(request.key, body, told)
        return Answer(headers={**self._version(version_id), "ETag": _etag(body)})

    def _get_object(self, request: Request, _body: bytes) -> Answer:
        wanted = request.query.get("versionId")
        if wanted is None:
            found = self.current(request.key)
        else:
            versions = self.objects.get(request.key, [])
            found = next((one for one in versions if one.version_id == wanted), None)
        if found is None or found.body is None:
            raise RefusedError(404, "NoSuchVersion" if wanted else "NoSuchKey")
        return Answer(200, found.body, {**self._version(found.version_id), **found.headers})

    def _delete_object(self, request: Request, _body: bytes) -> Answer:
        wanted = request.query.get("versionId")
        versions = self.objects.get(request.key, [])
        if wanted is not None:
            versions[:] = [one for one in versions if one.version_id != wanted]
        elif self.versioning:
            self.objects.setdefault(request.key, []).append(Kept(f"mark-{next(self._numbers)}", None))
        else:
            versions.clear()
        return Answer(204)

    def _list_objects_v2(self, request: Request, _body: bytes) -> Answer:
        prefix, after = request.query.get("prefix", ""), request.query.get("continuation-token", "")
        found = [name for name in self.names() if name.startswith(prefix) and name > after]
        more = len(found) > self.page
        shown = found[: self.page]
        told = "".join(f"<Contents><Key>{escape(name)}</Key></Contents>" for name in shown)
        token = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        return _xml("ListBucketResult", f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{told}")

    def _get_bucket_versioning(self, _request: Request, _body: bytes) -> Answer:
        return _xml("VersioningConfiguration", "<Status>Enabled</Status>" if self.versioning else "")

    def _put_bucket_versioning(self, _request: Request, body: bytes) -> Answer:
        self.versioning = b"<Status>Enabled</Status>" in body
        return Answer()

    def _create_multipart_upload(self, request: Request, _body: bytes) -> Answer:
        upload_id = f"upload-{next(self._numbers):08d}"
        self.uploads[upload_id] = Upload(request.key, datetime.now(UTC))
        return _xml("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>")

    def _upload(self, request: Request) -> Upload:
        found = self.uploads.get(request.query["uploadId"])
        if found is None:
            raise RefusedError(404, "NoSuchUpload")
        return found

    def _upload_part(self, request: Request, body: bytes) -> Answer:
        self._upload(request).parts[int(request.query["partNumber"])] = body
        return Answer(headers={"ETag": _etag(body)})

    def _complete_multipart_upload(self, request: Request, body: bytes) -> Answer:
        upload = self._upload(request)
        self._refuse_taken(request)
        whole = b"".join(upload.parts[int(number)] for number in _PARTS.findall(body))
        version_id = self.put(request.key, whole)
        del self.uploads[request.query["uploadId"]]
        answer = _xml("CompleteMultipartUploadResult", f"<Key>{escape(request.key)}</Key>")
        return Answer(200, answer.body, self._version(version_id))

    def _abort_multipart_upload(self, request: Request, _body: bytes) -> Answer:
        self._upload(request)
        del self.uploads[request.query["uploadId"]]
        return Answer(204)

    def _list_multipart_uploads(self, request: Request, _body: bytes) -> Answer:
        prefix = request.query.get("prefix", "")
        after = (request.query.get("key-marker", ""), request.query.get("upload-id-marker", ""))
        found = sorted((one.key, upload_id) for upload_id, one in self.uploads.items())
        found = [one for one in found if one[0].startswith(prefix) and one > after]
        more = len(found) > self.page
        told = "".join(_upload_told(key, one, self.uploads[one].begun) for key, one in found[: self.page])
        markers = ""
        if more:
            key, upload_id = found[self.page - 1]
            markers = (
                f"<NextKeyMarker>{key}</NextKeyMarker><NextUploadIdMarker>{upload_id}</NextUploadIdMarker>"
            )
        return _xml(
            "ListMultipartUploadsResult", f"<IsTruncated>{str(more).lower()}</IsTruncated>{markers}{told}"
        )


def _upload_told(key: str, upload_id: str, begun: datetime) -> str:
    when = f"{begun:%Y-%m-%dT%H:%M:%S}.000Z"
    told = f"<Key>{escape(key)}</Key><UploadId>{upload_id}</UploadId><Initiated>{when}</Initiated>"
    return f"<Upload>{told}</Upload>"


def _etag(body: bytes) -> str:
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


def _xml(root: str, told: str) -> Answer:
    return Answer(200, f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{told}</{root}>'.encode())


_OF_BUCKET = {
    ("GET", "versioning"): "get_bucket_versioning",
    ("PUT", "versioning"): "put_bucket_versioning",
    ("GET", "uploads"): "list_multipart_uploads",
    ("GET", ""): "list_objects_v2",
}
_OF_OBJECT = {
    ("PUT", ""): "put_object",
    ("GET", ""): "get_object",
    ("DELETE", ""): "delete_object",
    ("POST", "uploads"): "create_multipart_upload",
    ("PUT", "uploadId"): "upload_part",
    ("POST", "uploadId"): "complete_multipart_upload",
    ("DELETE", "uploadId"): "abort_multipart_upload",
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    s3: S3

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        request = self._request()
        fault = self.s3.decide(request)
        body = self._body(request.size, fault.upto)
        time.sleep(fault.wait)
        if body is None:
            self._cut(fault)
            return
        answer = self._performed(request, fault, body)
        if fault.silent:
            self._cut(fault)
        else:
            self._answer(answer, fault)

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

    def _performed(self, request: Request, fault: Fault, body: bytes) -> Answer:
        try:
            answer = self.s3.perform(request, fault.spoil(body)) if fault.done else Answer()
        except RefusedError as error:
            status, code = error.args
            return _error(status, code)
        return answer if fault.answer is None else _error(*fault.answer)

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        _, bucket, key = (*unquote(parts.path).split("/", 2), "", "")[:3]
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        said = {name.lower(): value for name, value in self.headers.items()}
        kinds = _OF_OBJECT if key else _OF_BUCKET
        kind = next((name for name in ("versioning", "uploads", "uploadId") if name in query), "")
        what = kinds[self.command, kind] if bucket == BUCKET else "Unknown"
        return Request(what, key, int(said.get("content-length", 0)), query, said)

    def _body(self, size: int, upto: int | None) -> bytes | None:
        """What is sent; None if the line is cut before its end."""
        is_cut = upto is not None and (upto < size or not size)
        left = upto if is_cut and upto is not None else size
        pieces = []
        while left and (piece := self.rfile.read(min(left, _CHUNK))):
            pieces.append(piece)
            left -= len(piece)
        return None if is_cut or left else b"".join(pieces)

    def _answer(self, answer: Answer, fault: Fault) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[: fault.download])
        if fault.download is not None:
            self._cut(fault)

    def _cut(self, fault: Fault) -> None:
        fault.then()
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _error(status: int, code: str) -> Answer:
    return Answer(status, _xml("Error", f"<Code>{code}</Code><Message>as told</Message>").body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    s3: S3

    def handle_error(self, _request: object, _client: object) -> None:
        """Keep what was the stub's own fault; that lines are cut is what it is for."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.s3.failed.append(repr(error))


@contextmanager
def serving() -> Iterator[S3]:
    """A bucket, for as long as it is used."""
    s3 = S3()
    handler = type("Handler", (_Handler,), {"s3": s3})
    server = _Server(("127.0.0.1", 0), handler)
    server.s3 = s3
    s3.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert s3.failed == []

"""A shared cache in a bucket: of S3, or of anything that speaks its protocol.

Blobs and manifests are objects whose names end with a digest and with the cache's name. The
client is boto3, which finds credentials and regions where people keep them. It is not a
part of every installation (`dissolver[s3]`), and only imported for a bucket.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dissolver.cache.shared.document import printable
from dissolver.cache.shared.streaming import CHUNK_BYTES, is_verified, take_layer
from dissolver.errors import BadCache, BadCacheOption, BucketError
from dissolver.image import manifest as manifests
from dissolver.image.digest import digest_of
from dissolver.image.manifest import MANIFEST_LIMIT, checked_digest

if TYPE_CHECKING:
    from dissolver.cache.shared.depot import OnBytes, Sending
    from dissolver.cache.shared.options import Place
    from dissolver.image.manifest import Descriptor, Manifest
    from dissolver.image.platform import Platform
    from dissolver.store import Store

ATTEMPTS = 3
"""How often a request is made, and how often in a row a transfer may break without getting on."""

CONNECT_SECONDS = 10
READ_SECONDS = 60
_REGION = "us-east-1"
"""What servers other than Amazon's are told where nobody names a region."""


class BucketDepot:
    """The cache that a bucket has under a name.

    Raises:
        BadCacheOption: the client is not installed.
    """

    kind = "Amazon S3"

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._client: Any = None
        _library()

    @property
    def name(self) -> str:
        """The server where it is not Amazon's, the bucket, and the object with the manifest."""
        place = self._place
        return f"s3:{place.endpoint}/{place.bucket}/{self._manifest_key(place.names[0])}"

    def manifest(self, platform: Platform) -> Manifest:
        """Read the manifest of the cache."""
        del platform
        key = self._manifest_key(self._place.names[0])
        return manifests.decode_manifest(self._read(key, MANIFEST_LIMIT))

    def document(self, blob: Descriptor) -> bytes:
        """Read a small blob, verified."""
        digest = checked_digest(blob)
        content = self._read(self._blob_key(digest), min(blob.size, MANIFEST_LIMIT))
        if digest_of(content) != digest:
            raise BadCache(f"the object of the blob `{digest}` is damaged")
        return content

    def has(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there, with the size that it should have."""
        key = self._blob_key(checked_digest(blob))
        with self._explained(f"look up `{key}`") as client:
            try:
                answer = client.head_object(Bucket=self._place.bucket, Key=key)
            except client.exceptions.ClientError as error:
                if _status(error) == 404:
                    return False
                raise
            return bool(answer["ContentLength"] == blob.size)

    def fetch(self, store: Store, layer: Descriptor, diff_id: str, on_bytes: OnBytes) -> None:
        """Have a layer in the store, verified by both its digests while it arrives."""
        chunks = self._stream(self._blob_key(checked_digest(layer)), layer.size)
        if not is_verified(store, diff_id, layer.digest):
            take_layer(store, chunks, layer, diff_id, on_bytes)

    def send_layer(self, work: Sending, diff_id: str, on_bytes: OnBytes) -> Descriptor:
        """Have a layer of the store in the depot; say as which blob."""
        return work.send_once(
            diff_id, self.has, lambda file, blob: self._upload(file, blob, on_bytes)
        )

    def take_over(self, work: Sending, blob: Descriptor) -> bool:
        """Tell whether a blob that is not in the store is there."""
        del work
        return self.has(blob)

    def send_document(self, content: bytes, blob: Descriptor) -> None:
        """Have a document in the depot."""
        if not self.has(blob):
            self._put(self._blob_key(blob.digest), content)

    def publish(self, manifest: bytes) -> None:
        """Make ``manifest`` the one that the cache's names mean; all it names is there."""
        for name in self._place.names:
            self._put(self._manifest_key(name), manifest)

    def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            self._client.close()

    def _manifest_key(self, name: str) -> str:
        return f"{self._place.prefix}{self._place.manifests_prefix}{name}"

    def _blob_key(self, digest: str) -> str:
        return f"{self._place.prefix}{self._place.blobs_prefix}{digest}"

    def _read(self, key: str, limit: int) -> bytes:
        with self._explained(f"read `{key}`") as client:
            answer = client.get_object(Bucket=self._place.bucket, Key=key)
            content = bytes(answer["Body"].read(limit + 1))
        if len(content) > limit:
            raise BadCache(f"the object `{key}` has more than {limit} bytes")
        return content

    def _stream(self, key: str, size: int) -> Iterator[bytes]:
        """Yield an object's bytes; a connection that breaks goes on where it stopped."""
        done = failures = 0
        while done < size:
            try:
                with self._explained(f"read `{key}`") as client:
                    answer = client.get_object(
                        Bucket=self._place.bucket, Key=key, Range=f"bytes={done}-"
                    )
                    for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                        yield chunk
                        done += len(chunk)
                        failures = 0
                    if done < size:
                        raise BucketError(f"`{key}` has {done} bytes, and {size} were promised")
            except BucketError as error:
                failures += 1
                if failures == ATTEMPTS or not error.may_pass:
                    raise

    def _put(self, key: str, content: bytes) -> None:
        with self._explained(f"write `{key}`") as client:
            client.put_object(Bucket=self._place.bucket, Key=key, Body=content)

    def _upload(self, file: int, blob: Descriptor, on_bytes: OnBytes) -> None:
        from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]

        key = self._blob_key(blob.digest)
        done = 0

        def hear(count: int) -> None:
            nonlocal done
            done += count
            on_bytes(done)

        os.lseek(file, 0, os.SEEK_SET)
        with self._explained(f"write `{key}`") as client, os.fdopen(os.dup(file), "rb") as body:
            client.upload_fileobj(
                body,
                self._place.bucket,
                key,
                Callback=hear,
                Config=TransferConfig(use_threads=False),
            )

    @contextmanager
    def _explained(self, what: str) -> Iterator[Any]:
        """Give the client; what it or the server says becomes an error of ours."""
        from botocore.exceptions import (  # type: ignore[import-untyped]
            BotoCoreError,
            ClientError,
            HTTPClientError,
            IncompleteReadError,
        )

        try:
            with self._lock:
                if self._client is None:
                    self._client = self._connect()
            yield self._client
        except ClientError as error:
            raise self._refused(error, what) from None
        except (BotoCoreError, OSError) as error:
            made = BucketError(f"cannot {what}: {self._shown(str(error))}")
            made.may_pass = isinstance(error, HTTPClientError | IncompleteReadError)
            raise made from None

    def _connect(self) -> Any:
        from botocore.config import Config  # type: ignore[import-untyped]

        place = self._place
        session = _library().session.Session(
            aws_access_key_id=place.key or None,
            aws_secret_access_key=place.secret or None,
            aws_session_token=place.token or None,
            region_name=place.region or None,
            profile_name=place.profile or None,
        )
        return session.client(
            "s3",
            endpoint_url=place.endpoint or None,
            region_name=session.region_name or _REGION,
            config=Config(
                s3={"addressing_style": "path" if place.is_path_style else "auto"},
                retries={"max_attempts": ATTEMPTS, "mode": "standard"},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                # Everything is verified by its digest; many servers know no other checksum.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def _refused(self, error: Any, what: str) -> BucketError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        said = str(error.response.get("Error", {}).get("Message", "")) or code
        hint = None
        if code == "NoSuchBucket":
            hint = f"make the bucket `{self._place.bucket}` first"
        elif _status(error) in (401, 403):
            hint = (
                "credentials are found where AWS's tools find them: "
                "AWS_ACCESS_KEY_ID, `~/.aws`, or the machine's role"
            )
        return BucketError(f"cannot {what}: {self._shown(said)}", hint=hint)

    def _shown(self, text: str) -> str:
        """Write what a server or the client says, without secrets and in one line."""
        for secret in (self._place.secret, self._place.token):
            if secret:
                text = text.replace(secret, "…")
        text = printable(" ".join(text.split()))[:300].rstrip(".")
        return text[:1].lower() + text[1:]


def _library() -> Any:
    try:
        import boto3  # type: ignore[import-untyped]
    except ImportError:
        raise BadCacheOption(
            "caches in buckets need `boto3`, which is not installed",
            hint="install it with `pip install 'dissolver[s3]'`",
        ) from None
    return boto3


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))

"""A destination that is a bucket of an S3-compatible store: in parts, whole only when all have arrived, and then read back.

The only home of obstore, which is loaded when the first package goes out.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from gateway.domain.deliveries import Way
from gateway.footage.destinations import NotSent, Parcel

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Store

_PART: Final = 8 << 20
_PARTS_MAX: Final = 9_000  # S3 takes 10,000 of an upload
_PARTS_AT_ONCE: Final = 2
"""What is in memory of a package: so many parts, and the one that is filled."""
_READ_TIMEOUT: Final = "120s"  # until a part is taken, too: 8 MiB want 2 Mbit/s with two at once
_CONNECT_TIMEOUT: Final = "10s"
_CALL_TIMEOUT: Final = "24h"  # reading a large package back is one call
_RETRIES: Final = 3  # of one call; whole attempts are repeated by whoever sends
_STATUS: Final = re.compile(r"status code: (\d{3})")
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where it is. `endpoint`: an URL; `authorities`: PEM of certificates to trust beside the usual ones, "" for none.

    `by_host`: it is addressed by the name of the host (`bucket.endpoint/key`), else by path (`endpoint/bucket/key`).
    """

    endpoint: str
    bucket: str
    prefix: str = ""
    region: str = "us-east-1"
    authorities: str = ""
    by_host: bool = False

    @property
    def url(self) -> str:
        """The address of the whole bucket."""
        if not self.by_host:
            return f"{self.endpoint}/{self.bucket}"
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{self.bucket}.{parts.netloc}"


@dataclass(frozen=True, slots=True)
class Login:
    """The two halves of a key of the store."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


class ObjectStoreDestination:
    """The `bucket`. `login` is asked before each call, so that a changed secret needs no restart; it raises InvalidInput."""

    way = Way.OBJECT_STORE

    def __init__(self, name: str, bucket: Bucket, login: Callable[[], Login], *, plain_because: str = "") -> None:
        self.name = name
        self.plain_because = plain_because
        self._bucket = bucket
        self._login = login

    def where(self, key: str = "") -> str:
        return f"{self._bucket.url}/{self._at(key)}"

    async def size_of(self, key: str) -> int | None:
        import obstore  # noqa: PLC0415 -- loaded when a package goes out

        try:
            with _told():
                return (await obstore.head_async(self._store(), self._at(key)))["size"]
        except _Missing:
            return None

    async def write(self, key: str, parcel: Parcel) -> None:
        import obstore  # noqa: PLC0415 -- as above

        part = max(_PART, math.ceil(parcel.size / _PARTS_MAX))
        with _told():
            await obstore.put_async(
                self._store(),
                self._at(key),
                parcel.pieces(),
                attributes={"Content-Type": "application/zip"},
                use_multipart=True,
                chunk_size=part,
                max_concurrency=_PARTS_AT_ONCE,
            )
        if await self.size_of(key) != parcel.size or await self.digest_of(key) != parcel.sha256:
            await self._clear(key)
            raise NotSent("what was written there reads otherwise", code="destination-differs", hint="look after that store", again=True)

    async def digest_of(self, key: str) -> str:
        import obstore  # noqa: PLC0415 -- as above

        digest = hashlib.sha256()
        with _told():
            async for piece in (await obstore.get_async(self._store(), self._at(key))).stream(min_chunk_size=1 << 20):
                digest.update(piece)
        return digest.hexdigest()

    async def _clear(self, key: str) -> None:
        """Take away what was written and reads otherwise, so that it is taken for no package. NotSent when it has to stay."""
        import obstore  # noqa: PLC0415 -- as above

        try:
            with _told():
                await obstore.delete_async(self._store(), self._at(key))
        except _Missing:
            pass
        except NotSent as error:
            words = f"what was written there reads otherwise, and could not be removed: {error}"
            raise NotSent(words, code="destination-differs", hint=f"remove {self.where(key)}, then send again") from error

    def _at(self, key: str) -> str:
        return f"{self._bucket.prefix.strip('/')}/{key}".lstrip("/")

    def _store(self) -> "S3Store":
        from obstore.store import S3Store  # noqa: PLC0415 -- as above

        login = self._login()
        client: ClientConfig = {
            "connect_timeout": _CONNECT_TIMEOUT,
            "read_timeout": _READ_TIMEOUT,
            "timeout": _CALL_TIMEOUT,
            "allow_http": self._bucket.endpoint.startswith("http:"),
        }
        if self._bucket.authorities:
            client["root_certificate"] = self._bucket.authorities
        return S3Store(
            self._bucket.bucket,
            endpoint=self._bucket.url if self._bucket.by_host else self._bucket.endpoint,
            region=self._bucket.region,
            access_key_id=login.access_key,
            secret_access_key=login.secret_key,
            virtual_hosted_style_request=self._bucket.by_host,
            checksum_algorithm="SHA256",
            client_options=client,
            retry_config={"max_retries": _RETRIES},
        )


class _Missing(Exception):
    """There is no such object."""


@contextmanager
def _told() -> Iterator[None]:
    """What the store says, as NotSent."""
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError  # noqa: PLC0415 -- as above

    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise _refused("there is no such bucket", error) from error
        raise _Missing from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise _refused("the store refuses the key, or what it may do", error) from error
    except BaseError as error:
        raise NotSent(f"the store: {_first_line(error)}", again=True) from error


def _refused(words: str, error: Exception) -> NotSent:
    status = _STATUS.search(str(error))
    told = f" (HTTP {status[1]})" if status else ""
    return NotSent(words + told, code="destination-refused", hint="check bucket, key files and the rights of that key, then send again")


def _first_line(error: Exception) -> str:
    """What went wrong, without the library's debug output, its counting of retries, and the address, which the record has already."""
    line = str(error).split("\n", 1)[0].rpartition(" - ")[2]
    return re.sub(r"https?://\S+", "…", line)[:_SHOWN]

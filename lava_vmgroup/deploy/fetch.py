# SPDX-License-Identifier: MIT
"""Files that a job names by a path or a URL, brought to the dispatcher."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import asdict, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import InfrastructureError, JobError
from lava_vmgroup.base.log import NodeLog
from lava_vmgroup.base.once import Once
from lava_vmgroup.base.progress import Progress
from lava_vmgroup.config.dispatcher import DispatcherConfig
from lava_vmgroup.deploy import scp
from lava_vmgroup.deploy.cache import Area, Cache
from lava_vmgroup.deploy.digests import digests_of, sha256_of
from lava_vmgroup.deploy.layers import layer_of_file
from lava_vmgroup.deploy.part import Partial, Version
from lava_vmgroup.deploy.recognition import check_is_disk, check_is_no_page
from lava_vmgroup.deploy.sizes import check_is_whole
from lava_vmgroup.deploy.unpack import SUFFIXES, Unpack, Unpacking, unpack, wants_unpacking
from lava_vmgroup.job.reference import FileReference

if TYPE_CHECKING:
    from lava_vmgroup.deploy.http import HttpClient

_REMOTE = ("http", "https", "scp")
_UNPACKING = 3
"""The version of the unpacking, a part of cached names; a new one unpacks the files anew."""
_KNOWN = "give a path, or a file:, http:, https: or scp: URL"


def local_path(reference: str, folder: Path) -> Path | None:
    """Return the path that `reference` names, relative to the job's `folder`; None for a download.

    Raises `JobError` for a reference that cannot be fetched.
    """
    try:
        url = urlsplit(reference)
    except ValueError as error:
        raise JobError(f"cannot fetch {reference!r}: {error}", hint=_KNOWN) from error
    if "\0" in unquote(reference):
        raise JobError(f"cannot fetch {reference!r}: it has a zero byte", hint=_KNOWN)
    if url.scheme in _REMOTE:
        return None
    if url.scheme not in ("", "file"):
        raise JobError(f"cannot fetch {reference!r}", hint=_KNOWN)
    if url.scheme and url.netloc not in ("", "localhost"):
        raise JobError(
            f"cannot fetch {reference!r}: it names a machine, {url.netloc!r}",
            hint="write file:///path for a file on the dispatcher",
        )
    # Only a URL is encoded: in a path, a percent sign is one.
    return folder / (unquote(url.path) if url.scheme else reference)


def reference_problems(
    reference: FileReference, folder: Path, purpose: Unpack = Unpack.NEVER
) -> Iterator[str]:
    """Yield the problems of a reference that can be found before the job runs.

    `folder` is that of the job, `purpose` the use of the file.
    """
    try:
        path = local_path(reference.url, folder)
    except JobError as error:
        yield error.describe()
        return
    if path is None:
        yield from _url_problems(reference)
        return
    try:
        check_regular(path)
        with path.open("rb") as stream:
            if not stream.read(1):
                yield f"{path} is empty"
                return
        if purpose is Unpack.DISK and layer_of_file(path) is None:
            check_is_disk(path, reference.name, SUFFIXES)
            check_is_whole(path, reference.name)
        elif purpose is Unpack.KERNEL:
            check_is_no_page(path, reference.name)
    except JobError as error:
        yield error.describe()
    except OSError as error:
        yield f"cannot read {path}: {error.strerror}"


def check_regular(path: Path) -> None:
    """Raise `OSError` if `path` is not a regular file.

    Opening a pipe may block for ever, and opening a device may have side effects.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device")


def _url_problems(reference: FileReference) -> Iterator[str]:
    url = urlsplit(reference.url)
    try:
        _ = url.port
    except ValueError:
        yield f"{reference.shown}: the port is no number up to 65535"
    if url.scheme == "scp":
        for problem in scp.problems(reference):
            yield f"{reference.shown}: {problem}"
    elif not url.hostname:
        yield f"{reference.shown}: the host is missing"


class JobFiles:
    """The files that one job names; each is fetched once, for all nodes.

    A context manager: the files exist until its end, in the dispatcher's cache or in their own
    place.
    """

    def __init__(self, folder: Path, config: DispatcherConfig, work: Path) -> None:
        """Take files from the job's `folder`; use the folder `work` for files of this job only."""
        self._folder = folder
        self._config = config
        self._work = work
        self._cache = Cache(config.lava_cachedir, config.lava_cache_mib << 20)
        self._found: Once[FileReference, tuple[Path, str | None]] = Once()
        self._ready: Once[tuple[FileReference, Unpack], Path] = Once()
        self._derived: Once[Hashable, Path] = Once()
        self._numbers = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cache.close()

    @cached_property
    def _http(self) -> HttpClient:
        # The check of a job downloads nothing, and need not wait for the import.
        from lava_vmgroup.deploy.http import HttpClient

        return HttpClient(self._config)

    def fetch(
        self,
        reference: FileReference,
        deadline: Deadline,
        log: NodeLog,
        purpose: Unpack = Unpack.NEVER,
    ) -> Path:
        """Return the file of `reference`: downloaded, checked, and unpacked for its `purpose`.

        The caller must not write to it.  Blocks while another node fetches it.  Raises `JobError`
        if the file is missing or wrong, `InfrastructureError` if it cannot be downloaded or stored,
        and the errors of `Deadline.check`.
        """

        def make() -> Path:
            path, digest = self._found.get(
                reference, lambda: self._find(reference, deadline, log), deadline
            )
            name = reference.name
            was_packed = wants_unpacking(path, name, purpose, deadline)
            if was_packed:
                digest = digest or sha256_of(path, Progress(log, name, deadline))
                path = self._unpacked(path, name, digest, deadline, log)
                name = _unpacked_name(name)
            if purpose is Unpack.DISK:
                _tell(_image_warnings(path, name, was_packed=was_packed), log)
            elif purpose is Unpack.KERNEL:
                check_is_no_page(path, name)
            return path if path.name == name else self._named(path, name)

        try:
            return self._ready.get((reference, purpose), make, deadline)
        except OSError as error:
            raise _no_room(reference.name, error, self._config.lava_cachedir) from error

    def derive(
        self, key: Hashable, name: str, make: Callable[[Path], None], deadline: Deadline
    ) -> Path:
        """Return a file that is made from others, once for all nodes that want it.

        `key` identifies its sources.  `make` is called with the path to write to.
        """

        def derived() -> Path:
            path = self._new_folder() / name
            make(path)
            return path

        try:
            return self._derived.get(key, derived, deadline)
        except OSError as error:
            raise _no_room(name, error, self._work) from error

    def _find(
        self, reference: FileReference, deadline: Deadline, log: NodeLog
    ) -> tuple[Path, str | None]:
        """Return the file as the job names it, not unpacked, and its SHA-256 if that is known."""
        mapped = replace(reference, url=self._config.mapped(reference.url))
        path = local_path(mapped.url, self._folder)
        if path is None:
            return self._download(mapped, deadline, log)
        if not path.is_file():
            raise JobError(f"there is no file {path}")
        _check_digests(mapped, path, Progress(log, mapped.name, deadline))
        return path, mapped.sha256

    def _download(
        self, reference: FileReference, deadline: Deadline, log: NodeLog
    ) -> tuple[Path, str]:
        name = reference.name
        log.event("state", f"fetching {reference.shown}", state=f"fetching {name}")
        key = hashlib.sha256(reference.url.encode()).hexdigest()
        with self._cache.locked(key, deadline):
            if reference.sha256 and (path := self._cache.find(Area.DOWNLOADS, reference.sha256)):
                return path, reference.sha256
            part = Partial(self._cache.folder("parts") / f"{key}.part")
            if urlsplit(reference.url).scheme == "scp":
                try:
                    scp.copy(reference, part.path, deadline, Progress(log, name, deadline))
                    return self._keep(reference, part, deadline, log)
                finally:
                    part.discard()
            return self._download_http(reference, key, part, deadline, log)

    def _download_http(
        self, reference: FileReference, key: str, part: Partial, deadline: Deadline, log: NodeLog
    ) -> tuple[Path, str]:
        noted = self._cache.recall(key)
        digest = str(noted.pop("sha256", ""))
        path = self._cache.find(Area.DOWNLOADS, digest) if digest else None
        known = Version.of(noted) if path is not None else None
        version = self._http.download(reference, part, known, deadline, log)
        if version is None:
            assert path is not None, "only what is there can be said to be unchanged"
            log.event("download", f"{reference.name} is unchanged since its last download")
            _check_digests(reference, path, Progress(log, reference.name, deadline))
            return path, digest
        path, digest = self._keep(reference, part, deadline, log)
        self._cache.note(key, {"sha256": digest, **asdict(version)})
        return path, digest

    def _keep(
        self, reference: FileReference, part: Partial, deadline: Deadline, log: NodeLog
    ) -> tuple[Path, str]:
        """Check a complete download against the job's digests, and put it into the cache."""
        progress = Progress(log, reference.name, deadline)
        try:
            _check_digests(reference, part.path, progress)
        except JobError:
            part.discard()
            raise
        digest = reference.sha256 or sha256_of(part.path, progress)
        path = self._cache.add(Area.DOWNLOADS, digest, part.path)
        part.discard()
        return path, digest

    def _unpacked(
        self, path: Path, name: str, digest: str, deadline: Deadline, log: NodeLog
    ) -> Path:
        digest = hashlib.sha256(f"{_UNPACKING} {digest}".encode()).hexdigest()
        with self._cache.locked(digest, deadline):
            if (there := self._cache.find(Area.UNPACKED, digest)) is not None:
                _tell(self._cache.recall(digest).get("warnings", []), log)
                return there
            log.event("state", f"unpacking {name}", state=f"unpacking {name}")
            scratch = self._cache.folder("scratch") / digest
            shutil.rmtree(scratch, ignore_errors=True)  # left by a job that was killed
            scratch.mkdir()
            try:
                progress = Progress(log, name, deadline)
                warnings: list[str] = []

                def warn(words: str) -> None:
                    warnings.append(f"{name}: {words}")

                unpacking = Unpacking(name=name, deadline=deadline, tell=progress, warn=warn)
                made = unpack(path, scratch, unpacking)
                _tell(warnings, log)
                self._cache.note(digest, {"warnings": warnings})
                return self._cache.add(Area.UNPACKED, digest, made)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _named(self, path: Path, name: str) -> Path:
        """Return a link to a file of the cache, with the name that the job gives the file."""
        link = self._new_folder() / name
        link.symlink_to(path)
        return link

    def _new_folder(self) -> Path:
        folder = self._work / str(next(self._numbers))
        folder.mkdir(parents=True)
        return folder


def _tell(warnings: Iterable[str], log: NodeLog) -> None:
    for warning in warnings:
        log.warning("unpack", warning)


def _image_warnings(path: Path, name: str, *, was_packed: bool) -> list[str]:
    """Return warnings about a raw disk image; raise `JobError` if it is cut off, or is none."""
    found = (
        check_is_disk(path, name, SUFFIXES),
        check_is_whole(path, name, was_packed=was_packed),
    )
    return [warning for warning in found if warning is not None]


def _no_room(name: str, error: OSError, folder: Path) -> InfrastructureError:
    return InfrastructureError(
        f"cannot store {name}: {error.strerror or error}",
        hint=f"look at {error.filename or folder} and its disk's room",
    )


def _check_digests(reference: FileReference, path: Path, progress: Progress) -> None:
    if not reference.digests:
        return
    found = digests_of(path, [name for name, _ in reference.digests], progress)
    for name, wanted in reference.digests:
        if found[name] != wanted:
            raise JobError(
                f"{reference.shown} is not the file that the job wants: "
                f"its {name}sum is {found[name]}, the job says {wanted}",
                hint="correct the job, or the file",
            )


def _unpacked_name(name: str) -> str:
    """Return the name of an unpacked file: without the suffixes of packed ones."""
    while (suffix := Path(name).suffix) in SUFFIXES:
        name = name.removesuffix(suffix)
    return name

# SPDX-License-Identifier: MIT
"""Loads test definitions from the places that a job names, with the files that belong to them."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lava_vmgroup.base.deadline import Deadline
from lava_vmgroup.base.errors import JobError
from lava_vmgroup.base.masking import masked
from lava_vmgroup.base.once import Once
from lava_vmgroup.base.text import decoded
from lava_vmgroup.deploy.fetch import check_regular, local_path
from lava_vmgroup.results.model import SoftwareSource
from lava_vmgroup.testdefs.definition import (
    RepositoryToInstall,
    TestDefinition,
    definition_text,
    parse_definition,
)
from lava_vmgroup.testdefs.overlay import GENERATED, OverlayTest
from lava_vmgroup.testdefs.repositories import (
    Repositories,
    check_url,
    local_repository,
    project_name,
)
from lava_vmgroup.testdefs.source import Source, SourceKind, path_problem, shown
from lava_vmgroup.testdefs.steps import SkipInstall
from lava_vmgroup.testdefs.tree import Tree, file_in, read_folder, read_tar

MAX_DEFINITION = 1 << 20
"""Bytes of a definition; longer shell code belongs into a script beside it."""

MAX_TESTS = 1000
"""Tests of one action, ``test-case-deps`` included: if each test names the next one twice, every
level doubles their number."""

_TRUE = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """A definition's text, the files that came with it, and their origin."""

    text: str
    files: Tree = ()
    location: str = "URL"
    url: str = ""
    vcs: str = "url"
    revision: str = ""
    """Empty for a place without revisions."""
    project: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The content of a repository at a revision."""

    tree: Tree
    revision: str
    left_out: tuple[str, ...] = ()
    """Paths of links that lead outside, and of devices and sockets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A repository and the commit to fetch."""

    kind: SourceKind
    url: str
    branch: str = ""
    revision: str = ""
    recursive: bool = False


Checkouts = Once[Origin, Checkout]
"""Repositories by their origin; each is fetched once."""


@dataclass(slots=True, kw_only=True)
class DefinitionLoader:
    """A loader of test definitions and of their ``test-case-deps``."""

    folder: Path
    """The job's folder, to which relative paths refer."""
    work: Path
    """A folder for clones and downloads; the caller removes it."""
    deadline: Deadline
    warn: Callable[[str], None] = field(default=lambda _: None)
    skip_install: SkipInstall | None = None
    download: Callable[[str], Path] | None = None
    """Downloads a URL and returns the file.  If None, the loader skips definitions on other
    machines, and all repositories to install."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the programs that fetch repositories, such as a proxy."""
    checkouts: Checkouts = field(default_factory=Once)
    """The repositories fetched so far; the loaders of other nodes may share them."""
    _count: int = 0
    _loaded: int = 0

    def load(self, source: Source) -> list[OverlayTest]:
        """Return the tests of one source in the order in which they run.

        Blocks while it fetches them, until `deadline`.  Raises `JobError` if a definition cannot be
        fetched, is not valid, or depends on itself.
        """
        return list(self._load(source, ()))

    def is_local(self, source: Source) -> bool:
        """Return whether the definition is on the dispatcher, or in the job."""
        match source.kind:
            case SourceKind.URL:
                return local_path(source.location, self.folder) is not None
            case SourceKind.GIT | SourceKind.BZR:
                return local_repository(source.location, self.folder) is not None
            case _:
                return True

    def _load(self, source: Source, above: tuple[Source, ...]) -> Iterator[OverlayTest]:
        if source.identity in [one.identity for one in above] and source.inline is None:
            circle = " -> ".join(str(one) for one in (*above, source))
            raise JobError(
                f"test-case-deps go in a circle: {circle}", hint="remove one of these references"
            )
        self._loaded += 1
        if self._loaded > MAX_TESTS:
            raise JobError(
                f"more than {MAX_TESTS} tests in one action",
                hint="are there so many test-case-deps?",
            )
        if source.kind in (SourceKind.GIT, SourceKind.BZR):
            check_url(source.location, source.kind)
        if self.download is None and not self.is_local(source):
            return
        fetched = self._fetch(source)
        definition = parse_definition(fetched.text, source=str(source))
        for remark in definition.remarks:
            self.warn(f"{source}: {remark}")
        for repository in definition.git_repositories:
            check_url(repository.url, SourceKind.GIT)
        for url in definition.bzr_repositories:
            check_url(url, SourceKind.BZR)
        for dependency in definition.test_case_deps:
            yield from self._load(dependency, (*above, source))
        yield self._test(source, fetched, definition)

    def _test(self, source: Source, fetched: _Fetched, definition: TestDefinition) -> OverlayTest:
        parameters = {**definition.params, **source.parameters}
        software = list(_software(source, fetched, definition))
        repositories: list[tuple[str, Tree]] = []
        skipped = self.skip_install in (SkipInstall.ALL, SkipInstall.REPOS)
        if self.download is not None and not skipped:
            for folder, tree, origin in self._repositories_to_install(definition, parameters):
                repositories.append((folder, tree))
                software.append(origin)
        folders = {folder.split("/")[0] for folder, _ in repositories}
        for name in sorted(
            ({entry.path.split("/")[0] for entry in fetched.files} | folders) & GENERATED
        ):
            if name != source.testdef:
                self.warn(f"{source}: {name} of the repository gives way to the test's own {name}")
        return OverlayTest(
            definition=replace(
                definition,
                name=source.name or definition.name,
                version=fetched.revision or definition.version,
                expected=source.expected or definition.expected,
            ),
            uuid=str(uuid.uuid4()),
            source=masked(fetched.text),
            parameters=source.parameters,
            location=fetched.location,
            url=fetched.url,
            files=fetched.files,
            repositories=tuple(repositories),
            software=tuple(software),
            skip_install=self.skip_install,
        )

    def _fetch(self, source: Source) -> _Fetched:
        match source.kind:
            case SourceKind.GIT | SourceKind.BZR:
                return self._fetch_repository(source)
            case SourceKind.TAR:
                files = read_tar(source.location)
                return _Fetched(
                    text=_text(_file_of(source, files), source),
                    files=files,
                    location="TAR",
                    url=f"sha256:{hashlib.sha256(source.location.encode()).hexdigest()}",
                    vcs="tar",
                    project="tar-repo",
                )
            case SourceKind.URL:
                path = local_path(source.location, self.folder)
                if path is None:
                    assert self.download is not None, "nothing else comes here"
                    path = self.download(source.location)
                text = read_text(path, source)
                return _Fetched(text=text, url=str(source), project=path.stem)
            case SourceKind.INLINE:
                return _Fetched(text=definition_text(source.inline or {}), location="INLINE")

    def _fetch_repository(self, source: Source) -> _Fetched:
        checkout = self._checked_out(
            Origin(
                kind=source.kind,
                url=source.location,
                branch=source.branch,
                revision=source.revision,
                recursive=source.recursive,
            )
        )
        return _Fetched(
            text=_text(_file_of(source, checkout.tree), source),
            files=checkout.tree,
            location=source.kind.value.upper(),
            url=shown(source.location),
            vcs=source.kind.value,
            revision=checkout.revision,
            project=project_name(source.location),
        )

    def _repositories_to_install(
        self, definition: TestDefinition, parameters: Mapping[str, str]
    ) -> Iterator[tuple[str, Tree, SoftwareSource]]:
        """Yield each repository: its folder in the test's directory, its content, its origin."""
        for repository in definition.git_repositories:
            if not _is_skipped(repository, parameters):
                yield self._installed(repository, parameters)
        for url in definition.bzr_repositories:
            checkout = self._checked_out(Origin(kind=SourceKind.BZR, url=url))
            yield project_name(url), checkout.tree, _origin(SourceKind.BZR, url, checkout)

    def _installed(
        self, repository: RepositoryToInstall, parameters: Mapping[str, str]
    ) -> tuple[str, Tree, SoftwareSource]:
        url = repository.url
        branch = parameters.get(repository.branch, repository.branch)
        destination = parameters.get(repository.destination, repository.destination)
        destination = destination or project_name(url)
        if branch.startswith("-") or (problem := path_problem(destination)):
            raise JobError(
                f"install.git-repos: {shown(url)}: "
                + (f"no branch is named {branch!r}" if branch.startswith("-") else str(problem))
            )
        checkout = self._checked_out(Origin(kind=SourceKind.GIT, url=url, branch=branch))
        return destination, checkout.tree, _origin(SourceKind.GIT, url, checkout)

    def _checked_out(self, origin: Origin) -> Checkout:
        """Return a repository's content, and warn of every path that is left out.

        Blocks while it or another loader fetches the repository.
        """
        checkout = self.checkouts.get(origin, lambda: self._check_out(origin), self.deadline)
        for path in checkout.left_out:
            self.warn(f"{shown(origin.url)}: {path} is left out: it leads outside, or is no file")
        return checkout

    def _check_out(self, origin: Origin) -> Checkout:
        target = self._new_folder() / project_name(origin.url)
        repositories = Repositories(
            folder=self.folder, deadline=self.deadline, environment=self.environment
        )
        if origin.kind is SourceKind.GIT:
            found = repositories.clone_git(
                origin.url,
                target,
                branch=origin.branch,
                revision=origin.revision,
                recursive=origin.recursive,
            )
        else:
            found = repositories.branch_bzr(origin.url, target, revision=origin.revision)
        tree, left_out = read_folder(target)
        shutil.rmtree(target, ignore_errors=True)
        return Checkout(tree=tree, revision=found, left_out=tuple(left_out))

    def _new_folder(self) -> Path:
        """Make a folder that nothing else uses, and return it."""
        self._count += 1
        folder = self.work / str(self._count)
        folder.mkdir(parents=True)
        return folder


def _software(
    source: Source, fetched: _Fetched, definition: TestDefinition
) -> Iterator[SoftwareSource]:
    if source.kind is not SourceKind.INLINE:
        yield SoftwareSource(
            project_name=fetched.project,
            branch_vcs=fetched.vcs,
            branch_url=fetched.url,
            branch_revision=fetched.revision or "0",
            default_params=definition.params,
            test_params=source.parameters,
        )


def _origin(kind: SourceKind, url: str, checkout: Checkout) -> SoftwareSource:
    return SoftwareSource(
        project_name=project_name(url),
        branch_vcs=kind.value,
        branch_url=shown(url),
        branch_revision=checkout.revision,
    )


def _is_skipped(repository: RepositoryToInstall, parameters: Mapping[str, str]) -> bool:
    skip = repository.skip_by_default
    return parameters.get(skip, skip).lower() in _TRUE


def _file_of(source: Source, files: Tree) -> bytes:
    try:
        return file_in(files, source.testdef)
    except JobError as error:
        raise JobError(
            f"there is no {source}", hint="say with testdef where the definition is"
        ) from error


def read_text(path: Path, source: Source) -> str:
    """Return the text of a local definition; raise `JobError` if it cannot be read."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            return _text(file.read(MAX_DEFINITION + 1), source)
    except OSError as error:
        raise JobError(f"cannot read the test definition {path}: {error.strerror}") from error


def _text(content: bytes, source: Source) -> str:
    if len(content) > MAX_DEFINITION:
        raise JobError(f"the test definition {source} has more than {MAX_DEFINITION >> 10} KiB")
    try:
        return decoded(content)
    except ValueError as error:
        raise JobError(f"the test definition {source} {error}") from error

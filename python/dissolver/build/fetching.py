"""What a build fetches besides images: files behind URLs, and git repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.build.turns import Turns
from dissolver.errors import BuildError

if TYPE_CHECKING:
    from dissolver.build.bases import BaseImages
    from dissolver.build.events import OpenVertex
    from dissolver.build.request import BuildRequest
    from dissolver.build.scheduler import Cancellation
    from dissolver.build.ssh_agents import Agents
    from dissolver.build.url_files import UrlFile
    from dissolver.plan.git_reference import GitReference
    from dissolver.store import Store


class Fetcher:
    """Fetches for one build, and keeps what it fetched for the next one.

    ``temporary`` lists layers that nothing needs when the build has ended. ``turns`` are those
    of builds at the same time: what two of them want is fetched by one.
    """

    def __init__(
        self,
        store: Store,
        request: BuildRequest,
        bases: BaseImages,
        agents: Agents,
        cancellation: Cancellation,
        temporary: list[str],
        turns: Turns | None = None,
    ) -> None:
        self._store = store
        self._request = request
        self._bases = bases
        self._agents = agents
        self._cancellation = cancellation
        self.temporary = temporary
        self._turns = turns or Turns()

    def url(
        self, url: str, name: str, *, checksum: str | None, vertex: OpenVertex, build: str
    ) -> UrlFile:
        """Fetch a file, as ``fetch_url`` does.

        Raises:
            BuildError: it cannot be had, or is another one than ``checksum`` says.
        """
        from dissolver.build.url_files import fetch_url, shown

        transport = self._bases.transport
        if transport is None:
            raise BuildError(f"cannot fetch `{shown(url)}`: this build may not use the network")
        with self._turns.of(f"url {url}", self._cancellation):
            return fetch_url(
                self._store,
                transport,
                url,
                name,
                checksum=checksum,
                secrets=self._request.secrets,
                vertex=vertex,
                build=build,
            )

    def git(
        self,
        reference: GitReference,
        *,
        checksum: str | None,
        keeps_git_directory: bool,
        vertex: OpenVertex,
        build: str,
        is_callers: bool = False,
    ) -> str:
        """Check out a commit, as ``fetch_git`` does, and answer the layer of its files.

        With ``is_callers`` it was the caller who named the repository, and no Dockerfile: where
        it is reached by SSH, the caller's own agent and keys log in. Without, it is the agent
        that the build was given.

        Raises:
            BuildError: it cannot be had, or is another one than ``checksum`` says.
        """
        from dissolver.build.git_files import Git, fetch_git, needs_ssh

        environment = self._request.environment

        lends_keys = is_callers and needs_ssh(reference.remote)

        def agent() -> str | None:
            own = environment.get("SSH_AUTH_SOCK") if lends_keys else None
            return self._agents.find("default") or own

        git = Git(
            environment,
            agent,
            self._request.secrets,
            self._cancellation.is_requested,
            lends_keys=lends_keys,
        )
        with self._turns.of(f"git {reference!r}", self._cancellation):
            return fetch_git(
                self._store,
                git,
                reference,
                checksum=checksum,
                keeps_git_directory=keeps_git_directory,
                vertex=vertex,
                build=build,
            )

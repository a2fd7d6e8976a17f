"""The commands there are: where each one lives, what it says of itself, an example.

Only the command that was asked for is imported; help texts and suggestions need
nothing but this list.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: ``function`` of ``cli.module``, and the words for its help.

    ``runs_programs`` marks those whose exit code may be a program's: usage errors
    end with 125, and options end at the first word that is none.
    ``failure_code`` is the exit code of other failures. ``needs_users`` marks what
    does not work fully for an ordinary user without subordinate ids.
    """

    module: str
    function: str
    help: str
    example: str
    runs_programs: bool = False
    failure_code: int = 1
    needs_users: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that are reached by two words."""

    help: str
    commands: dict[str, Entry]


_BUILD = Entry(
    "build",
    "build",
    "Build an image from a Dockerfile",
    "dissolver build -t name:tag .",
    needs_users=True,
)
_BAKE = Entry(
    "bake",
    "bake",
    "Build what a bake file or a compose file describes",
    "dissolver bake --set '*.platform=linux/amd64' web db",
    needs_users=True,
)
_RUN = Entry(
    "run",
    "run",
    "Create a container from an image and run it",
    "dissolver run -d -p 3000:80 name:tag",
    runs_programs=True,
    failure_code=125,
    needs_users=True,
)
_EXEC = Entry(
    "run",
    "execute",
    "Run a program in a running container",
    "dissolver exec -it web sh",
    runs_programs=True,
)
_START = Entry("run", "start", "Start containers again", "dissolver start web")
_ATTACH = Entry("run", "attach", "Connect to a running container", "dissolver attach web")
_WAIT = Entry("run", "wait", "Wait for the end of containers", "dissolver wait web")
_PS = Entry("containers", "ps", "List containers", "dissolver ps -a")
_LOGS = Entry("containers", "logs", "Show what a container wrote", "dissolver logs -f web")
_STOP = Entry("containers", "stop", "Stop running containers", "dissolver stop -t 3 web")
_KILL = Entry("containers", "kill", "Send containers a signal", "dissolver kill -s HUP web")
_RM = Entry("containers", "rm", "Remove containers", "dissolver rm -f web")
_IMAGES = Entry("images", "images", "List images", "dissolver images")
_TAG = Entry("images", "tag", "Give an image one more name", "dissolver tag 84d1016c860a goals:v1")
_RMI = Entry("images", "rmi", "Remove images", "dissolver rmi goals:v1")
_HISTORY = Entry("images", "history", "Show how an image was made", "dissolver history node")
_IMPORT = Entry(
    "base_images",
    "import_tar",
    "Make an image from a tar of a root file system",
    "dissolver import -c 'CMD [\"sh\"]' rootfs.tar name:tag",
    needs_users=True,
)
_SAVE = Entry(
    "archives",
    "save",
    "Write images to an archive, or to a directory",
    "dissolver save -o goals.tar goals:v1",
)
_LOAD = Entry(
    "archives",
    "load",
    "Take in images from an archive, or from a directory",
    "dissolver load -i goals.tar",
    needs_users=True,
)
_EXPORT = Entry(
    "archives",
    "export",
    "Write a container's file system as a tar",
    "dissolver export -o web.tar web",
)
_CP = Entry(
    "copying",
    "cp",
    "Copy files between a container and this machine",
    "dissolver cp web:/var/log/app.log .",
)
_DIFF = Entry("copying", "diff", "Show what a container changed", "dissolver diff web")
_INSPECT = Entry(
    "inspect",
    "inspect",
    "Show everything about containers or images, as JSON",
    "dissolver inspect -f '{{.State.Status}}' web",
)

_PULL = Entry(
    "registries",
    "pull",
    "Fetch an image from a registry",
    "dissolver pull node:22",
    needs_users=True,
)
_PUSH = Entry(
    "registries",
    "push",
    "Send an image to a registry",
    "dissolver push registry.example.com/team/goals:v1",
)

COMMANDS: dict[str, Entry] = {
    "build": _BUILD,
    "bake": _BAKE,
    "run": _RUN,
    "exec": _EXEC,
    "attach": _ATTACH,
    "ps": _PS,
    "logs": _LOGS,
    "start": _START,
    "stop": _STOP,
    "kill": _KILL,
    "wait": _WAIT,
    "rm": _RM,
    "cp": _CP,
    "diff": _DIFF,
    "export": _EXPORT,
    "images": _IMAGES,
    "tag": _TAG,
    "rmi": _RMI,
    "history": _HISTORY,
    "inspect": _INSPECT,
    "import": _IMPORT,
    "save": _SAVE,
    "load": _LOAD,
    "pull": _PULL,
    "push": _PUSH,
    "login": Entry(
        "registries",
        "login",
        "Log in to a registry",
        "dissolver login -u me --password-stdin registry.example.com < token",
    ),
    "logout": Entry(
        "registries", "logout", "Log out from a registry", "dissolver logout registry.example.com"
    ),
    "search": Entry(
        "registries", "search", "Search a registry for images", "dissolver search node"
    ),
    "info": Entry("system", "info", "Show where things lie and what works here", "dissolver info"),
    "version": Entry("system", "version", "Show the version", "dissolver version"),
    "completion": Entry(
        "completion",
        "completion",
        "Print a script that lets a shell complete commands and names",
        "source <(dissolver completion bash)",
    ),
}

GROUPS: dict[str, Group] = {
    "image": Group(
        "Make, look at and tidy up images",
        {
            "bootstrap": Entry(
                "base_images",
                "bootstrap",
                "Make a base image from the machine's apt sources",
                "dissolver image bootstrap bookworm -t debian:bookworm-slim",
                needs_users=True,
            ),
            "build": _BUILD,
            "copy": Entry(
                "manifests",
                "copy",
                "Copy an image between registries, layouts, archives and the store",
                "dissolver image copy node:22 oci:images/node:22",
            ),
            "diff": Entry(
                "image_diff",
                "diff",
                "Show what differs between two images",
                "dissolver image diff goals:v1 goals:v2",
                failure_code=2,
            ),
            "history": _HISTORY,
            "import": _IMPORT,
            "inspect": Entry(
                "inspect",
                "inspect_images",
                "Show everything about images, as JSON",
                "dissolver image inspect node",
            ),
            "load": _LOAD,
            "ls": _IMAGES,
            "prune": Entry(
                "tidy", "prune_images", "Remove images that nothing uses", "dissolver image prune"
            ),
            "pull": _PULL,
            "push": _PUSH,
            "rm": _RMI,
            "save": _SAVE,
            "tag": _TAG,
        },
    ),
    "container": Group(
        "Run, look at and tidy up containers",
        {
            "attach": _ATTACH,
            "cp": _CP,
            "diff": _DIFF,
            "exec": _EXEC,
            "export": _EXPORT,
            "inspect": Entry(
                "inspect",
                "inspect_containers",
                "Show everything about containers, as JSON",
                "dissolver container inspect web",
            ),
            "kill": _KILL,
            "logs": _LOGS,
            "ls": _PS,
            "prune": Entry(
                "tidy",
                "prune_containers",
                "Remove containers that do not run",
                "dissolver container prune",
            ),
            "rm": _RM,
            "run": _RUN,
            "start": _START,
            "stop": _STOP,
            "wait": _WAIT,
        },
    ),
    "manifest": Group(
        "Put images for several platforms together",
        {
            "annotate": Entry(
                "manifests",
                "annotate",
                "Change what a list says of an image",
                "dissolver manifest annotate app:1 app:1-arm --arch arm64",
            ),
            "create": Entry(
                "manifests",
                "create",
                "Begin a list of images that are in registries",
                "dissolver manifest create app:1 app:1-amd app:1-arm",
            ),
            "inspect": Entry(
                "manifests",
                "inspect",
                "Show a manifest, an index or a list",
                "dissolver manifest inspect node:22",
            ),
            "push": Entry(
                "manifests",
                "push",
                "Send a list to its registry",
                "dissolver manifest push app:1",
            ),
            "rm": Entry("manifests", "rm", "Remove lists", "dissolver manifest rm app:1"),
        },
    ),
    "volume": Group(
        "Look at and tidy up volumes",
        {
            "ls": Entry("volumes", "ls", "List volumes", "dissolver volume ls"),
            "prune": Entry(
                "tidy",
                "prune_volumes",
                "Remove volumes that no container mounts",
                "dissolver volume prune",
            ),
            "rm": Entry("volumes", "rm", "Remove volumes", "dissolver volume rm data"),
        },
    ),
    "builder": Group(
        "Look at and tidy up the build cache",
        {
            "du": Entry("tidy", "builder_du", "Show what the cache takes", "dissolver builder du"),
            "prune": Entry(
                "tidy", "prune_builder", "Forget the build cache", "dissolver builder prune"
            ),
        },
    ),
    "system": Group(
        "Look at and tidy up everything",
        {
            "check": Entry(
                "system", "check", "Verify everything in the store", "dissolver system check"
            ),
            "df": Entry("tidy", "df", "Show what takes space", "dissolver system df"),
            "info": COMMANDS["info"],
            "prune": Entry(
                "tidy", "prune_system", "Remove all that nothing uses", "dissolver system prune"
            ),
        },
    ),
    "layer": Group(
        "Look into layers",
        {
            "cat": Entry(
                "system",
                "layer_cat",
                "Write a layer as a tar",
                "dissolver layer cat sha256:84d1016c | tar -t",
            ),
        },
    ),
}

# Other words that people know for the same commands, left out of the help.
ALIASES: dict[str, dict[str, str]] = {
    "image": {"list": "ls", "remove": "rm"},
    "container": {"list": "ls", "ps": "ls", "remove": "rm"},
    "volume": {"list": "ls", "remove": "rm"},
}

HIDDEN: dict[str, Entry] = {
    "dissolver __complete": Entry(
        "completion",
        "answer",
        "Tell a shell what a word may become",
        "dissolver __complete 'dissolver im'",
    ),
}
"""What programs call and no help lists."""

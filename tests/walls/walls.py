"""Every wall between a container and the host, and the tests that have to fall when it is gone.

``make walls`` takes each away in turn and looks. A test that goes on passing without its wall
proves nothing, and a wall without a test is a hope. docs/security.md describes the walls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CALLS = "tests/walls/test_kernel.py::test_a_call_gets_what_the_table_says"
FILES = "tests/walls/test_kernel.py::test_a_file_gives_what_the_table_says"
SURFACE = "tests/walls/test_surface.py::test_a_program_sees_what_the_list_says_and_no_more"
IMAGES = "tests/walls/test_hostile_images.py"
ESCAPES = "tests/walls/test_escapes.py"
PULLS = "tests/registry/test_meddled_pulls.py"
TRUST = "tests/registry/test_shared_trust.py"
PLACES = (
    "tests/walls/test_targets.py::test_a_link_at_a_place_of_the_systems_is_refused_with_a_sentence"
)
VOLUMES = "tests/walls/test_targets.py::test_a_volume_behind_a_link_does_not_cover_root_or_kernel"
MAGIC = "tests/walls/test_targets.py::test_a_working_directory_is_not_reached_through_magic"
DEVICES = "tests/walls/test_devices.py"
FIRST = (
    "tests/walls/test_first_program.py::test_the_running_program_is_nothing_that_an_image_could_use"
)
KEYS = f"{ESCAPES}::test_the_keys_of_the_callers_session_stay_with_the_caller"
MARKS = "tests/scenarios/test_overlay_attributes.py"
STREAMS = "tests/walls/test_streams.py::test_the_files_behind_redirections_stay_the_callers"
FILLED = (
    "tests/containers/test_volumes.py::test_nothing_is_written_through_links_that_appear_meanwhile"
)
LOOPBACK = "tests/walls/test_loopback.py::test_no_packet_gets_to_the_loopback_interface"
CONTEXTS = "tests/walls/test_context.py"
SUBMODULES = "tests/walls/test_git.py::test_a_submodule_is_no_way_to_this_machine"
LINKS = f"{IMAGES}::test_a_link_at_a_mount_point_leads_no_mount_away"
ENTERED = f"{ESCAPES}::test_a_program_that_is_entered_into_a_restricted_container_is_restricted_too"
NODES = f"{ESCAPES}::test_no_node_of_the_host_can_be_changed_from_inside"


@dataclass(frozen=True)
class Wall:
    """A protection that can be taken away on its own.

    ``core`` walls are taken away by a core that is compiled for it (the feature `breach`), which
    reads their names from ``DISSOLVER_BREACH``; those of the ``package`` by `breaches`. What
    stands ``behind`` it holds the same attacks: it is taken away as well, and the tests
    have to stand as long as only that is gone.
    """

    name: str
    kind: Literal["core", "package"]
    says: str
    tests: tuple[str, ...]
    behind: tuple[str, ...] = ()


WALLS = (
    Wall(
        "target-links",
        "core",
        "what the system mounts is mounted where it belongs, whatever links an image has there",
        (
            f"{LINKS}[root-proc-/tmp]",
            f"{LINKS}[user-proc-/tmp]",
            f"{PLACES}[proc-/-root]",
            f"{PLACES}[dev-/etc-user]",
        ),
        behind=("mount-verify", "masks", "read-only-paths"),
    ),
    Wall(
        "mount-verify",
        "core",
        "after mounting, what lies at the place is compared with what was mounted",
        (f"{LINKS}[root-proc-/tmp]", f"{LINKS}[user-proc-/tmp]"),
        behind=("target-links", "masks", "read-only-paths"),
    ),
    Wall(
        "targets",
        "core",
        "no link leads a mount to the root itself, or to where the kernel shows itself",
        (
            f"{VOLUMES}[/proc-a symbolic link leads to where the kernel shows itself-root]",
            f"{VOLUMES}[/proc-a symbolic link leads to where the kernel shows itself-user]",
            f"{VOLUMES}[/-it leads to the root itself-root]",
        ),
    ),
    Wall(
        "magic-links",
        "core",
        "no working directory and no mount point is reached through a magic link of /proc",
        (
            f"{MAGIC}[/proc/1/root-root]",
            f"{MAGIC}[/proc/self/cwd-user]",
        ),
    ),
    Wall(
        "nodev",
        "core",
        "device files work on no mount of a container but the few that are bound one by one",
        (
            f"{DEVICES}::test_a_device_can_be_made_but_not_opened[run-root]",
            f"{DEVICES}::test_a_device_can_be_made_but_not_opened[exec-root]",
            f"{DEVICES}::test_a_device_can_be_made_but_not_opened[RUN-extracted]",
            f"{DEVICES}::test_devices_below_what_is_bound_cannot_be_opened",
            f"{IMAGES}::test_a_device_file_of_an_image_opens_nothing[root-nodes]",
        ),
        behind=("device-rules",),
    ),
    Wall(
        "device-rules",
        "core",
        "a control group opens no device but those few, wherever their files are",
        (
            f"{DEVICES}::test_the_kernel_refuses_other_devices_wherever_their_files_are[run]",
            f"{DEVICES}::test_the_kernel_refuses_other_devices_wherever_their_files_are[exec]",
        ),
    ),
    Wall(
        "device-nodes",
        "core",
        "the device files of /dev are the container's own, or the host's and read-only",
        (f"{SURFACE}[root-run]", f"{SURFACE}[user-run]", f"{SURFACE}[root-RUN]"),
    ),
    Wall(
        "first-program",
        "core",
        "what is executed first in a new root is no file of the host",
        (
            f"{FIRST}[run-/bin/unended-root]",
            f"{FIRST}[exec-/bin/magic-root]",
            f"{FIRST}[RUN-/bin/link-extracted]",
            f"{FIRST}[run-/proc/self/exe-user]",
            f"{FIRST}[exec-/bin/chain-user]",
        ),
    ),
    Wall(
        "undumpable",
        "core",
        "a process that joins a container cannot be looked into until it is the program",
        (
            f"{IMAGES}::test_a_process_that_joins_is_out_of_reach_until_it_is_the_program[root]",
            f"{IMAGES}::test_a_process_that_joins_is_out_of_reach_until_it_is_the_program[user]",
        ),
    ),
    Wall(
        "own-null",
        "core",
        "empty standard streams are a null device of the container's own",
        (f"{NODES}[run-root-streams]", f"{NODES}[RUN-root-streams]"),
    ),
    Wall(
        "keyring",
        "core",
        "a container has no key of its caller's session",
        (f"{KEYS}[root-run]", f"{KEYS}[root-RUN]", f"{KEYS}[user-exec]"),
    ),
    Wall(
        "overlay-marks",
        "core",
        "attributes that a program sets hide nothing in what it leaves behind",
        (f"{MARKS}::test_a_container_cannot_hide_its_changes",),
    ),
    Wall(
        "masked-read-only",
        "core",
        "what covers a masked file cannot be changed",
        (
            f"{ESCAPES}::test_the_null_device_behind_a_mask_cannot_be_given_away[root-run]",
            f"{ESCAPES}::test_the_null_device_behind_a_mask_cannot_be_given_away[root-RUN]",
        ),
    ),
    Wall(
        "seccomp",
        "core",
        "system calls that are not on the list fail",
        (
            f"{CALLS}[root-run-keyctl_session]",
            f"{CALLS}[root-exec-io_uring]",
            f"{CALLS}[root-RUN-kernel_crypto]",
            f"{CALLS}[user-run-unshare_user]",
            f"{CALLS}[user-exec-clone_user]",
            f"{CALLS}[user-RUN-keyctl_join]",
        ),
    ),
    Wall(
        "capabilities",
        "core",
        "root inside has fourteen of root's capabilities, and nobody can get more",
        (
            f"{CALLS}[root-run-link_flags]",
            f"{CALLS}[root-exec-link_flags]",
            f"{CALLS}[user-RUN-link_flags]",
            f"{SURFACE}[root-run-user]",
        ),
    ),
    Wall(
        "masks",
        "core",
        "what tells about the machine and its other users cannot be seen",
        (
            f"{FILES}[root-run-read /proc/keys]",
            f"{FILES}[root-RUN-read /proc/interrupts]",
            f"{FILES}[user-exec-read /proc/keys]",
        ),
    ),
    Wall(
        "read-only-paths",
        "core",
        "the kernel's settings in /proc cannot be changed",
        (
            f"{FILES}[root-run-write /proc/sys/kernel/core_pattern]",
            f"{FILES}[root-exec-write /proc/sys/vm/drop_caches]",
            f"{FILES}[root-RUN-write /proc/sys/kernel/core_pattern]",
        ),
    ),
    Wall(
        "close-descriptors",
        "core",
        "a container gets three open files, whatever its caller has open",
        (
            f"{IMAGES}::test_nothing_that_the_caller_holds_open_gets_in[root-RUN]",
            f"{IMAGES}::test_nothing_that_the_caller_holds_open_gets_in[user-exec]",
        ),
    ),
    Wall(
        "socket-families",
        "package",
        "sockets that reach the host around the network, or old protocols, cannot be made",
        (
            f"{CALLS}[root-run-kernel_crypto]",
            f"{CALLS}[root-RUN-decnet]",
            f"{CALLS}[user-exec-kernel_crypto]",
        ),
    ),
    Wall(
        "namespace-flags",
        "package",
        "a container makes no namespaces, in which it would be root with every right",
        (f"{CALLS}[root-run-clone_user]", f"{CALLS}[user-RUN-clone_user]"),
    ),
    Wall(
        "entered-as-confined",
        "package",
        "a process that is started in a running container is confined as its first one",
        (
            f"{CALLS}[root-exec-keyctl_session]",
            f"{CALLS}[user-exec-keyctl_session]",
            f"{SURFACE}[root-exec]",
            f"{ENTERED}[root]",
        ),
    ),
    Wall(
        "own-network",
        "package",
        "a container has a network of its own unless the caller says otherwise",
        (
            f"{CALLS}[root-run-host_loopback]",
            f"{CALLS}[user-run-host_abstract_socket]",
        ),
    ),
    Wall(
        "exec-pipes",
        "package",
        "a process of `exec` gets none of the caller's own files",
        (
            f"{STREAMS}[root-< {{0}} >> {{1}} 2>> {{2}}]",
            f"{STREAMS}[user-< {{0}} >> {{1}} 2>> {{2}}]",
        ),
    ),
    Wall(
        "volume-filling",
        "package",
        "what an image brings for a volume is written where no container can put a link",
        (FILLED,),
    ),
    Wall(
        "loopback",
        "package",
        "nothing that arrives on the bridge reaches the host's loopback interface",
        (f"{LOOPBACK}[root-run]", f"{LOOPBACK}[root-build]"),
    ),
    Wall(
        "context-links",
        "package",
        "no Dockerfile and no ignore file of a context is a link that leads out of it",
        (
            f"{CONTEXTS}::test_no_link_of_a_context_leads_out[root-words0-Dockerfile]",
            f"{CONTEXTS}::test_no_link_of_a_context_leads_out[user-words1-.dockerignore]",
        ),
    ),
    Wall(
        "git-protocols",
        "package",
        "git speaks to servers, and to no program or file of this machine",
        (
            f"{SUBMODULES}[root-a program]",
            f"{SUBMODULES}[user-a program]",
        ),
    ),
    Wall(
        "terminal-text",
        "package",
        "no text of an image or a Dockerfile commands the terminal",
        ("tests/walls/test_terminal_output.py::test_no_list_sends_what_an_image_says",),
    ),
    Wall(
        "rights",
        "package",
        "a Dockerfile gets the machine's network and every right only from the caller",
        ("tests/build/test_flags.py::test_a_dockerfile_takes_no_right_by_itself",),
    ),
    Wall(
        "secrets-stay-home",
        "package",
        "credentials go to the host that they were made for, wherever a registry redirects to",
        ("tests/registry/test_auth.py::test_a_password_is_sent_to_its_own_host_only",),
    ),
    Wall(
        "verified-documents",
        "package",
        "manifests and configurations have the digests that they were asked for by",
        (f"{PULLS}::test_a_manifest_must_have_the_digest_that_was_asked_for",),
    ),
    Wall(
        "proven-layers",
        "package",
        "who knows the digest of a layer does not get it: a shared cache has to hold it",
        (f"{TRUST}::test_a_layer_of_this_machine_is_not_given_to_who_knows_its_digest",),
    ),
)

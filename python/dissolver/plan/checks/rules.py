"""The rules, as data: what each is called, says, and where it is explained."""

from __future__ import annotations

import msgspec

DOCKER_PAGES = "https://docs.docker.com/go/dockerfile/rule/"
"""Where the rules that BuildKit has are explained."""

OWN_PAGES = "docs/checks.md#"
"""Where the others are."""


class Rule(msgspec.Struct, frozen=True):
    """One rule.

    ``fragment`` is the end of the address that explains it, empty where there is no
    such page. An experimental rule is asked for by name. ``is_own`` marks rules that
    BuildKit does not have: they advise, and make no build fail.
    """

    name: str
    description: str
    fragment: str
    is_experimental: bool = False
    is_own: bool = False

    @property
    def url(self) -> str:
        """Where the rule is explained, or nothing."""
        if not self.fragment:
            return ""
        return f"{OWN_PAGES}{self.fragment}" if self.is_own else f"{DOCKER_PAGES}{self.fragment}/"


STAGE_NAME_CASING = Rule("StageNameCasing", "Stage names should be lowercase", "stage-name-casing")
FROM_AS_CASING = Rule(
    "FromAsCasing",
    "The 'as' keyword should match the case of the 'from' keyword",
    "from-as-casing",
)
NO_EMPTY_CONTINUATION = Rule(
    "NoEmptyContinuation",
    "Empty continuation lines will become errors in a future release",
    "no-empty-continuation",
)
CONSISTENT_INSTRUCTION_CASING = Rule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "consistent-instruction-casing",
)
DUPLICATE_STAGE_NAME = Rule(
    "DuplicateStageName", "Stage names should be unique", "duplicate-stage-name"
)
RESERVED_STAGE_NAME = Rule(
    "ReservedStageName", "Reserved words should not be used as stage names", "reserved-stage-name"
)
JSON_ARGS_RECOMMENDED = Rule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to "
    "OS signals",
    "json-args-recommended",
)
MAINTAINER_DEPRECATED = Rule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "maintainer-deprecated",
)
UNDEFINED_ARG_IN_FROM = Rule(
    "UndefinedArgInFrom", "FROM command must use declared ARGs", "undefined-arg-in-from"
)
UNDEFINED_VAR = Rule(
    "UndefinedVar", "Variables should be defined before their use", "undefined-var"
)
WORKDIR_RELATIVE_PATH = Rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected "
    "results if the base image changes",
    "workdir-relative-path",
)
MULTIPLE_INSTRUCTIONS_DISALLOWED = Rule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    "multiple-instructions-disallowed",
)
LEGACY_KEY_VALUE_FORMAT = Rule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    "legacy-key-value-format",
)
INVALID_BASE_IMAGE_PLATFORM = Rule(
    "InvalidBaseImagePlatform", "Base image platform does not match expected target platform", ""
)
REDUNDANT_TARGET_PLATFORM = Rule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
    "behavior",
    "redundant-target-platform",
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED = Rule(
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use a constant value",
    "from-platform-flag-const-disallowed",
)
SECRETS_USED_IN_ARG_OR_ENV = Rule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    "secrets-used-in-arg-or-env",
)
INVALID_DEFAULT_ARG_IN_FROM = Rule(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    "invalid-default-arg-in-from",
)
COPY_IGNORED_FILE = Rule(
    "CopyIgnoredFile",
    "Attempting to Copy file that is excluded by .dockerignore",
    "copy-ignored-file",
)
INVALID_DEFINITION_DESCRIPTION = Rule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format: `# <arg/stage name> "
    "<description>`. If this is not intended to be a description comment, add an empty line or "
    "comment between the instruction and the comment.",
    "invalid-definition-description",
    is_experimental=True,
)
EXPOSE_PROTO_CASING = Rule(
    "ExposeProtoCasing",
    "Protocol in EXPOSE instruction should be lowercase",
    "expose-proto-casing",
)
EXPOSE_INVALID_FORMAT = Rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become "
    "an error in a future release",
    "expose-invalid-format",
)

BUILDKIT_RULES = (
    STAGE_NAME_CASING,
    FROM_AS_CASING,
    NO_EMPTY_CONTINUATION,
    CONSISTENT_INSTRUCTION_CASING,
    DUPLICATE_STAGE_NAME,
    RESERVED_STAGE_NAME,
    JSON_ARGS_RECOMMENDED,
    MAINTAINER_DEPRECATED,
    UNDEFINED_ARG_IN_FROM,
    UNDEFINED_VAR,
    WORKDIR_RELATIVE_PATH,
    MULTIPLE_INSTRUCTIONS_DISALLOWED,
    LEGACY_KEY_VALUE_FORMAT,
    INVALID_BASE_IMAGE_PLATFORM,
    REDUNDANT_TARGET_PLATFORM,
    FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    SECRETS_USED_IN_ARG_OR_ENV,
    INVALID_DEFAULT_ARG_IN_FROM,
    COPY_IGNORED_FILE,
    INVALID_DEFINITION_DESCRIPTION,
    EXPOSE_PROTO_CASING,
    EXPOSE_INVALID_FORMAT,
)
"""The rules that BuildKit has, with its names and words."""

COPY_BEFORE_INSTALL = Rule(
    "CopyBeforeInstall",
    "Files of the project should be copied after its dependencies were installed",
    "copybeforeinstall",
    is_own=True,
)
CHANGING_ARG_BEFORE_RUN = Rule(
    "ChangingArgBeforeRun",
    "An argument that changes with every build should be declared behind the steps that do not "
    "use it",
    "changingargbeforerun",
    is_own=True,
)
APT_UPDATE_APART = Rule(
    "AptUpdateApart",
    "Package lists should be fetched by the step that installs from them",
    "aptupdateapart",
    is_own=True,
)
SECRET_COPIED = Rule(
    "SecretCopied",
    "Secrets should be mounted and never copied into a layer",
    "secretcopied",
    is_own=True,
)
GIT_DIRECTORY_IN_CONTEXT = Rule(
    "GitDirectoryInContext",
    "The history of the repository should be excluded by .dockerignore",
    "gitdirectoryincontext",
    is_own=True,
)
NODE_MODULES_IN_CONTEXT = Rule(
    "NodeModulesInContext",
    "Installed packages should be excluded by .dockerignore",
    "nodemodulesincontext",
    is_own=True,
)

OWN_RULES = (
    COPY_BEFORE_INSTALL,
    CHANGING_ARG_BEFORE_RUN,
    APT_UPDATE_APART,
    SECRET_COPIED,
    GIT_DIRECTORY_IN_CONTEXT,
    NODE_MODULES_IN_CONTEXT,
)
"""The rules that only this project has: they save time, or secrets."""

RULES = (*BUILDKIT_RULES, *OWN_RULES)
"""All rules, in the order in which findings of one line are told."""

ORDER = {rule.name: index for index, rule in enumerate(RULES)}

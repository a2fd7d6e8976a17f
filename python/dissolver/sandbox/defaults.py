"""What every process gets unless it says otherwise: Docker's defaults, as data."""

from __future__ import annotations

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are searched when the image does not say."""

UMASK = 0o022

BUILD_HOSTNAME = "buildkitsandbox"
"""What a RUN step reads as its host name; constant, so that it cannot leak into a layer."""

STOP_SIGNAL = "SIGTERM"
STOP_SECONDS = 10.0
"""How a container is asked to end, and when it is killed."""

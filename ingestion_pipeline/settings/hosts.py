"""Which hosts are this machine, and what it is called."""

import ipaddress
import socket
from collections.abc import Mapping


def is_local(host: str) -> bool:
    """Whether a host, an address or a socket's path is on this machine."""
    # libpq takes a leading @ for an abstract socket.
    if host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def this_host(environment: Mapping[str, str]) -> str:
    """What this host is called: INGESTION_HOST, for containers, whose names change, or else its name."""
    return environment.get("INGESTION_HOST") or socket.gethostname()

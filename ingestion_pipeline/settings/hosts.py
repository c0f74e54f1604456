"""Which hosts are this machine."""

import ipaddress


def is_local(host: str) -> bool:
    """Whether a host, an address or a socket's path is on this machine."""
    # libpq takes a leading @ for an abstract socket.
    if host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

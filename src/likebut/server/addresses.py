"""Which addresses are this machine's own."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether ``host`` can be reached from this machine alone."""
    address = as_address(host)
    return host == "localhost" if address is None else address.is_loopback


def as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return ``host`` as an IP address; None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None

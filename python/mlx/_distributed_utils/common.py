"""Hosts: what a hostfile holds, and how commands reach them."""

import ipaddress
import json
import shlex
import socket
from dataclasses import dataclass, field


@dataclass
class Host:
    """One process's place: its rank, the name for ssh and the addresses that others reach it at."""

    rank: int
    ssh_hostname: str
    ips: list[str] = field(default_factory=list)


def is_local(name):
    return name in ("localhost", "127.0.0.1", "::1", socket.gethostname())


def is_address(name):
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def parse_hostlist(names, repeat=1):
    """The hosts of a list with commas, each ``repeat`` times."""
    hosts = []
    for name in filter(None, (n.strip() for n in names.split(","))):
        ips = [name] if is_address(name) else ["127.0.0.1"] if is_local(name) else []
        hosts += [Host(len(hosts) + i, name, ips) for i in range(repeat)]
    if not hosts:
        raise ValueError("There are no hosts.")
    return hosts


def parse_hostfile(path):
    """The hosts of a JSON file, ``[{"ssh": name, "ips": [address, ...]}, ...]``, and its other settings."""
    with open(path) as f:
        data = json.load(f)
    settings = {}
    if isinstance(data, dict):
        settings = {k: v for k, v in data.items() if k != "hosts"}
        data = data.get("hosts", [])
    hosts = []
    for i, h in enumerate(data):
        if "ssh" not in h:
            raise ValueError(f"Host {i} of {path} has no entry 'ssh'.")
        hosts.append(Host(i, h["ssh"], h.get("ips", [])))
    if not hosts:
        raise ValueError(f"There are no hosts in {path}.")
    return hosts, settings


def remote(host, command, environment, folder=None):
    """The command line that runs ``command`` on a host through ssh."""
    script = f"cd {shlex.quote(folder)} && " if folder else ""
    script += "exec env " + " ".join(f"{k}={shlex.quote(v)}" for k, v in environment.items())
    script += " " + shlex.join(command)
    return ["ssh", "-tt", "-o", "LogLevel=QUIET", host.ssh_hostname, script]

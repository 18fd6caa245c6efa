"""Hosts: what a hostfile holds, and how commands reach them."""

import ipaddress
import json
import shlex
import socket
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Host:
    """One process's place: its rank, the name for ssh and the addresses and RDMA devices that others reach it by."""

    rank: int
    ssh_hostname: str
    ips: list[str] = field(default_factory=list)
    rdma: list = field(default_factory=list)


@dataclass
class Hostfile:
    """Hosts in order of rank, the backend they talk by and NAME=VALUE settings of their environment."""

    hosts: list[Host]
    backend: str = ""
    envs: list[str] = field(default_factory=list)

    def to_json(self):
        """What ``from_file`` reads, as a dict."""
        hosts = [{"ssh": h.ssh_hostname, "ips": h.ips, "rdma": h.rdma} for h in self.hosts]
        return {"backend": self.backend, "envs": self.envs, "hosts": hosts}

    @classmethod
    def from_file(cls, hostfile):
        """Read a JSON file: a list of hosts, or a dict with it as "hosts" beside "backend" and "envs".

        A host is ``{"ssh": name, "ips": [address, ...], "rdma": [device, ...]}``, the last two if known. A file that
        is not there or not of this form is a ValueError.
        """
        path = Path(hostfile)
        if not path.exists():
            raise ValueError(f"Hostfile {path} doesn't exist")
        try:
            data = json.loads(path.read_text())
            data = data if isinstance(data, dict) else {"hosts": data}
            hosts = [Host(i, h["ssh"], h.get("ips", []), h.get("rdma", [])) for i, h in enumerate(data["hosts"])]
        except KeyError as e:
            raise ValueError(f"Failed to parse hostfile {path} (no entry {e})") from e
        except (TypeError, AttributeError, ValueError) as e:
            raise ValueError(f"Failed to parse hostfile {path} ({e})") from e
        return cls(hosts, data.get("backend", ""), data.get("envs", []))

    @classmethod
    def from_list(cls, hostlist, repeats=1):
        """The hosts of a list with commas, each ``repeats`` times; a name that is an address is its own ip."""
        names = [n.strip() for n in hostlist.split(",")]
        if not all(names):
            raise ValueError("Hostname cannot be empty")
        names = [n for n in names for _ in range(repeats)]
        return cls([Host(i, n, [n] if is_address(n) else []) for i, n in enumerate(names)])


def is_local(name):
    return name in ("localhost", "127.0.0.1", "::1", socket.gethostname())


def is_address(name):
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def remote(host, command, environment, folder=None):
    """The command line that runs ``command`` on a host through ssh."""
    script = f"cd {shlex.quote(folder)} && " if folder else ""
    script += "exec env " + " ".join(f"{k}={shlex.quote(v)}" for k, v in environment.items())
    script += " " + shlex.join(command)
    return ["ssh", "-tt", "-o", "LogLevel=QUIET", host.ssh_hostname, script]

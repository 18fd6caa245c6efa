"""``mlx.distributed_config``: find out how hosts reach each other and write the hostfile for ``mlx.launch``."""

import argparse
import json
import subprocess
import sys

from .common import Hostfile, is_local


def _reachable(host):
    if is_local(host.ssh_hostname):
        return True
    command = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", host.ssh_hostname, "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _addresses(host):
    """The host's own addresses, those of its wires first, without the loop back to itself."""
    command = ["hostname", "-I"]
    if not is_local(host.ssh_hostname):
        command = ["ssh", "-o", "BatchMode=yes", host.ssh_hostname, *command]
    found = subprocess.run(command, capture_output=True, text=True)
    return [ip for ip in found.stdout.split() if "." in ip and not ip.startswith("127.")]


def _dot(hosts):
    lines = ["graph hosts {"]
    for a in hosts:
        for b in hosts[a.rank + 1 :]:
            lines.append(f'  "{a.ssh_hostname}" -- "{b.ssh_hostname}" [label="{(b.ips or ["?"])[0]}"];')
    return "\n".join(lines + ["}"])


def main():
    parser = argparse.ArgumentParser(
        prog="mlx.distributed_config", description="Configure remote machines for use with MLX distributed"
    )
    parser.add_argument("--verbose", action="store_true", help="Say what is done")
    parser.add_argument("--hosts", default="127.0.0.1", help="A comma separated list of hosts")
    parser.add_argument("--ignore-unreachable", action="store_true", help="Leave out hosts that ssh does not reach")
    parser.add_argument("--hostfile", help="The file that holds the hosts")
    parser.add_argument("--over", choices=("thunderbolt", "ethernet"), default="ethernet", help="The kind of wire")
    parser.add_argument("--output-hostfile", help="Save the hostfile here, instead of printing it")
    parser.add_argument("--auto-setup", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--dot", action="store_true", help="Print the topology in DOT format and exit")
    parser.add_argument("--backend", choices=("ring", "jaccl", "jaccl-ring"), default="ring")
    parser.add_argument("--env", action="append", default=[], help="A NAME=VALUE for the hostfile")
    args = parser.parse_args()

    try:
        hosts = (Hostfile.from_file(args.hostfile) if args.hostfile else Hostfile.from_list(args.hosts)).hosts
    except ValueError as e:
        parser.error(str(e))
    if args.over == "thunderbolt" or args.auto_setup or args.backend != "ring":
        sys.exit("Thunderbolt, its set-up and its backends are macOS's; use --over ethernet and the ring.")
    lost = [h for h in hosts if not _reachable(h)]
    if lost:
        names = ", ".join(h.ssh_hostname for h in lost)
        if not args.ignore_unreachable:
            sys.exit(f"ssh does not reach {names}.")
        print(f"left out: {names}", file=sys.stderr)
        hosts = [h for h in hosts if h not in lost]
    for rank, host in enumerate(hosts):
        host.rank = rank
        host.ips = _addresses(host) or host.ips
        if args.verbose:
            print(f"{host.ssh_hostname}: {host.ips}", file=sys.stderr)
    if args.dot:
        print(_dot(hosts))
        return
    text = json.dumps(Hostfile(hosts, args.backend, args.env).to_json(), indent=2)
    if args.output_hostfile:
        with open(args.output_hostfile, "w") as f:
            f.write(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()

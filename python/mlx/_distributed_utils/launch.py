"""``mlx.launch``: start one program as several processes that find each other, here or on other hosts."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from .common import Hostfile, is_local, remote


def _environment(args, hosts, rank):
    """What tells a process its place in the group."""
    env = {"MLX_RANK": str(rank), "MLX_WORLD_SIZE": str(len(hosts)), "PYTHONUNBUFFERED": "1"}
    for setting in args.env:
        name, _, value = setting.partition("=")
        env[name] = value
    if args.backend == "nccl":
        env["NCCL_HOST_IP"] = (hosts[0].ips or [hosts[0].ssh_hostname])[0]
        env["NCCL_PORT"] = str(args.nccl_port)
        env.setdefault(
            "CUDA_VISIBLE_DEVICES", str(sum(h.ssh_hostname == hosts[rank].ssh_hostname for h in hosts[:rank]))
        )
    return env


def _ring(args, hosts):
    """The addresses of each rank, ports counted up for ranks that share one."""
    port, addresses = args.starting_port, []
    for host in hosts:
        mine = []
        for ip in host.ips or ["127.0.0.1" if is_local(host.ssh_hostname) else host.ssh_hostname]:
            for _ in range(args.connections_per_ip):
                mine.append(f"{ip}:{port}")
                port += 1
        addresses.append(mine)
    return addresses


def _copy(stream, target, prefix):
    for line in iter(stream.readline, b""):
        target.buffer.write(prefix + line)
        target.flush()


def _run(args, hosts, command):
    """Start every process and show what they print; if one fails, stop the others and return its exit status."""
    processes, files = [], []
    ring = json.dumps(_ring(args, hosts))
    for rank, host in enumerate(hosts):
        env = _environment(args, hosts, rank)
        if is_local(host.ssh_hostname):
            if args.backend == "ring":
                files.append(tempfile.NamedTemporaryFile("w", suffix=".json"))
                files[-1].write(ring)
                files[-1].flush()
                env["MLX_HOSTFILE"] = files[-1].name
            line, full, folder = command, {**os.environ, **env}, args.cwd
        else:
            if args.backend == "ring":
                env["MLX_HOSTFILE"] = "/dev/fd/3"
                inner = ["sh", "-c", "exec 3<<END\n" + ring + '\nEND\nexec "$@"', "sh", *command]
                line = remote(host, inner, env, args.cwd)
            else:
                line = remote(host, command, env, args.cwd)
            full, folder = None, None
        if args.verbose:
            print(f"[{rank}] {host.ssh_hostname}: {line}", file=sys.stderr)
        processes.append(subprocess.Popen(line, env=full, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    readers = []
    for rank, p in enumerate(processes):
        prefix = f"[{rank}] ".encode() if args.verbose else b""
        for stream, target in ((p.stdout, sys.stdout), (p.stderr, sys.stderr)):
            readers.append(threading.Thread(target=_copy, args=(stream, target, prefix), daemon=True))
            readers[-1].start()
    try:
        status = _wait(processes)
    finally:
        for p in processes:
            if p.poll() is None:
                p.terminate()
        for p in processes:
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
        for r in readers:
            r.join(1)
        for f in files:
            f.close()
    return status


def _wait(processes):
    while True:
        states = [p.poll() for p in processes]
        failed = [s for s in states if s]
        if failed:
            return failed[0]
        if all(s == 0 for s in states):
            return 0
        time.sleep(0.05)


def _mpi(args, hosts, command):
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        sys.exit("The backend mpi needs mpirun, which is not in the PATH.")
    line = [mpirun, "-np", str(len(hosts))]
    names = []
    for h in hosts:
        if h.ssh_hostname not in names:
            names.append(h.ssh_hostname)
    if not all(map(is_local, names)):
        slots = ",".join(f"{n}:{sum(h.ssh_hostname == n for h in hosts)}" for n in names)
        line += ["--host", slots]
    else:
        line += ["--oversubscribe"]
    for setting in args.env:
        line += ["-x", setting]
    for arg in args.mpi_arg:
        line += arg.split()
    if args.cwd:
        line += ["-wdir", args.cwd]
    if args.verbose:
        print(line + command, file=sys.stderr)
    return subprocess.run(line + command).returncode


def launch_ring(parser, hosts, args, command):
    """Run the command on the hosts over the ring and end this process as the first of them that fails."""
    sys.exit(_run(args, hosts, command))


def launch_nccl(parser, hosts, args, command):
    """Run the command on the hosts, one GPU each, as launch_ring does."""
    sys.exit(_run(args, hosts, command))


def launch_mpi(parser, hosts, args, command):
    """Run the command through mpirun."""
    sys.exit(_mpi(args, hosts, command))


def launch_jaccl(parser, hosts, args, command):
    """Raise: the backend works over Thunderbolt between Macs."""
    sys.exit("The backend jaccl needs RDMA over Thunderbolt, which is macOS's; use the ring, mpi or nccl.")


def main():
    parser = argparse.ArgumentParser(prog="mlx.launch", description="Launch an MLX distributed program")
    parser.add_argument("--print-python", action="store_true", help="Print the path of this Python and exit")
    parser.add_argument("--verbose", action="store_true", help="Say what is started, mark the output with ranks")
    parser.add_argument("--hosts", default="127.0.0.1", help="A comma separated list of hosts")
    parser.add_argument("--repeat-hosts", "-n", type=int, default=1, help="Processes on each host")
    parser.add_argument("--hostfile", help="The file that holds the hosts")
    parser.add_argument(
        "--backend", choices=("ring", "mpi", "nccl", "jaccl", "jaccl-ring"), help="How the processes talk"
    )
    parser.add_argument("--env", action="append", default=[], help="Set NAME=VALUE for the processes")
    parser.add_argument("--mpi-arg", action="append", default=[], help="Arguments for mpirun")
    parser.add_argument("--connections-per-ip", type=int, default=1, help="Connections of the ring backend per address")
    parser.add_argument("--starting-port", "-p", type=int, default=32323, help="The ring's first port")
    parser.add_argument("--cwd", help="The working directory on each host")
    parser.add_argument("--nccl-port", type=int, default=12345, help="The port of the nccl backend")
    parser.add_argument("--python", default=None, help="The Python to run on other hosts")
    args, rest = parser.parse_known_args()

    if args.print_python:
        print(sys.executable)
        return
    if rest and rest[0] == "--":
        rest = rest[1:]
    if not rest:
        parser.error("No script is given.")
    try:
        place = Hostfile.from_file(args.hostfile) if args.hostfile else Hostfile.from_list(args.hosts, args.repeat_hosts)
    except ValueError as e:
        parser.error(str(e))
    if not place.hosts:
        parser.error(f"There are no hosts in {args.hostfile}.")
    args.backend = args.backend or place.backend or "ring"
    args.env = place.envs + args.env

    script = rest[0]
    if os.path.exists(script) and not os.access(script, os.X_OK) or script.endswith(".py"):
        rest = [args.python or sys.executable, os.path.abspath(script), *rest[1:]]
    launch = {"mpi": launch_mpi, "nccl": launch_nccl, "ring": launch_ring}.get(args.backend, launch_jaccl)
    launch(parser, place.hosts, args, rest)


if __name__ == "__main__":
    main()

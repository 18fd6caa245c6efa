"""mlx.launch, mlx.distributed_config and python -m mlx."""

import json
import subprocess
import sys

import pytest


def run(*args, **kwargs):
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=60, **kwargs)


@pytest.fixture
def program(tmp_path):
    file = tmp_path / "program.py"
    file.write_text(
        "import json, os, sys\n"
        "rank = int(os.environ['MLX_RANK'])\n"
        "ring = json.load(open(os.environ['MLX_HOSTFILE']))\n"
        "print('rank', rank, 'of', len(ring), sys.argv[1:], os.environ.get('NAME'))\n"
        "sys.exit(3 if 'fail' in sys.argv and rank == 1 else 0)\n"
    )
    return str(file)


def test_launch_starts_ranks_that_know_the_ring(program):
    done = run("-m", "mlx._distributed_utils.launch", "-n", "3", "--env", "NAME=value", program, "an argument")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"rank {r} of 3 ['an argument'] value" for r in range(3)]


def test_launch_ends_as_the_first_that_fails(program):
    assert run("-m", "mlx._distributed_utils.launch", "-n", "2", program, "fail").returncode == 3


def test_launch_needs_a_script():
    assert run("-m", "mlx._distributed_utils.launch").returncode == 2


def test_hostfile(program, tmp_path):
    hosts = tmp_path / "hosts.json"
    hosts.write_text(json.dumps({"envs": ["NAME=a"], "hosts": [{"ssh": "localhost", "ips": ["127.0.0.1"]}] * 2}))
    done = run("-m", "mlx._distributed_utils.launch", "--hostfile", str(hosts), program)
    assert sorted(done.stdout.splitlines()) == ["rank 0 of 2 [] a", "rank 1 of 2 [] a"]


def test_config_writes_a_hostfile(tmp_path):
    out = tmp_path / "hosts.json"
    assert (
        run("-m", "mlx._distributed_utils.config", "--hosts", "localhost", "--output-hostfile", str(out)).returncode
        == 0
    )
    assert json.loads(out.read_text())["hosts"][0]["ssh"] == "localhost"


def test_main_prints_the_version():
    done = run("-m", "mlx", "--version")
    assert done.returncode == 0 and done.stdout.strip().count(".") == 2


def test_array_api_info():
    import mlx.core as mx

    info = mx.__array_namespace_info__()
    assert info.dtypes(kind="bool") == {"bool": mx.bool_}
    assert "float64" in info.dtypes(kind="real floating")
    with pytest.raises(ValueError, match="dtype kind"):
        info.dtypes(kind="x")


def test_reprlib_can_show_arrays():
    import array
    import reprlib

    import mlx.core as mx

    assert reprlib.repr(mx.zeros(3)).startswith("array([0, ")
    assert reprlib.repr(array.array("i", [1, 2])) == "array('i', [1, 2])"


def test_hostfiles_are_objects_that_programs_read_and_write(tmp_path):
    from mlx._distributed_utils.common import Host, Hostfile

    file = tmp_path / "hosts.json"
    file.write_text(json.dumps([{"ssh": "a", "ips": ["1.2.3.4"]}, {"ssh": "b", "rdma": [None, "en2"]}]))
    place = Hostfile.from_file(file)
    assert place == Hostfile([Host(0, "a", ["1.2.3.4"], []), Host(1, "b", [], [None, "en2"])], "", [])
    file.write_text(json.dumps({**place.to_json(), "backend": "ring", "envs": ["A=b"]}))
    assert Hostfile.from_file(file) == Hostfile(place.hosts, "ring", ["A=b"])
    assert [h.ips for h in Hostfile.from_list("1.2.3.4, b", 2).hosts] == [["1.2.3.4"]] * 2 + [[]] * 2


@pytest.mark.parametrize("text", ['{"backend": "ring"}', "{", '[{"ips": []}]', "3", '["a"]'])
def test_a_broken_hostfile_is_an_error_that_names_it(tmp_path, text):
    from mlx._distributed_utils.common import Hostfile

    file = tmp_path / "hosts.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="Failed to parse hostfile .*hosts.json"):
        Hostfile.from_file(file)
    done = run("-m", "mlx._distributed_utils.launch", "--hostfile", str(file), "x")
    assert done.returncode == 2 and "hosts.json" in done.stderr

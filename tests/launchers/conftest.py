"""A Ray cluster on this machine, with real nodes."""

import importlib.util
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest

RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "token",  # without a mode, Ray writes a token of its own into the home folder
    "RAY_AUTH_TOKEN": secrets.token_hex(16),
}


def short_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="zap-ray-", dir="/tmp"))  # paths of Ray's sockets may not be long


@pytest.fixture(scope="module")
def ray_environment():
    """A token and a folder of Ray that only the tests of one file use."""
    if importlib.util.find_spec("ray") is None:  # an import would read the environment before it is set
        pytest.skip("Ray is not installed (pip install 'ray>=2.40')")
    folder = short_folder()
    (folder / "ray").mkdir()  # a `Cluster` writes its address there and does not make the folder
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (RAY | {"RAY_TMPDIR": str(folder)}).items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(ray_environment):
    """A head without cores and one node of one core; `add()` adds another node, each has its own session folder."""
    from ray.cluster_utils import Cluster

    folder = short_folder()
    made = Cluster()
    try:
        made.add_node(num_cpus=0, include_dashboard=False, temp_dir=str(folder / "head"))

        def add():
            own = folder / f"node{len(list(folder.iterdir()))}"
            return made.add_node(num_cpus=1, temp_dir=str(own), env_vars={"TMPDIR": str(folder)})

        made.add = add
        made.folder = folder
        add()
        yield made
    finally:
        made.shutdown()
        shutil.rmtree(folder, ignore_errors=True)

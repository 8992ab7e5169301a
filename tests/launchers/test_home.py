"""A home folder that cannot be written to stops nothing: Avalanche, which writes there, is imported with another."""

import os
import subprocess
import sys


def test_avalanche_is_imported_where_the_home_folder_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    home = str(tmp_path / "file" / "home")
    code = (
        "import os\n"
        "from zapbench.launchers.home import import_with_writable_home\n"
        "import_with_writable_home()\n"
        "import avalanche.benchmarks\n"
        f"assert os.environ['HOME'] == {home!r}\n"
    )
    environment = os.environ | {"HOME": home, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("zapbench-home-*")), "the temporary home is removed at the end"

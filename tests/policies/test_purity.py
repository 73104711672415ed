import subprocess
import sys


def test_gates_are_judged_without_django():
    code = "import sys, apps.policies.gates; print([name for name in sys.modules if name.split('.')[0] == 'django'])"

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"

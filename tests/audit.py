"""Known vulnerabilities of what constraints.txt pins: `make audit`. Exits with 1 if there is one.

pip-audit asks a database of advisories over the network, PyPI's or https://osv.dev; bandit's rules, which need none,
are in `make lint`. Where no database answers, pip-audit says "no known vulnerabilities" and exits with 0: this says
instead that nothing was audited.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parents[1] / "constraints.txt"
SERVICES = ("pypi", "osv")
PROBE = "urllib3==1.24"
"""Has advisories, so that an answer without any is none."""


def ask(service: str, requirements: str) -> list[dict[str, Any]]:
    """Return what the service says of each package; empty if it does not answer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requirements.txt"
        path.write_text(requirements)
        command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--format", "json"]
        command += ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--requirement", str(path)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return list(json.loads(answer.stdout)["dependencies"])
    except ValueError:
        return []


def findings(packages: list[dict[str, Any]]) -> list[str]:
    """Return a line for each vulnerability of the packages."""
    return [
        f"{package['name']} {package['version']}: {known['id']}, mended in {', '.join(known['fix_versions']) or 'none'}"
        for package in packages
        for known in package.get("vulns", ())
    ]


def main() -> int:
    service = next((each for each in SERVICES if findings(ask(each, PROBE))), None)
    if service is None:
        print(
            "nothing was audited: no database of advisories answers here (pypi.org with its JSON API, or api.osv.dev)"
        )
        return 0
    packages = ask(service, PINNED.read_text())
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    found = findings(packages)
    print("\n".join([*found, f"{len(found)} known vulnerabilities in {len(packages) - len(skipped)} packages"]))
    if skipped or not packages:
        print(f"not audited: {', '.join(skipped) or 'all'}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

"""The API matches its OpenAPI document in every check of Schemathesis, with each token."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builders import Issue, at, github
from tests.support.paths import REPOSITORY
from tests.support.serving import Service, serving
from tests.support.waiting import PATIENCE_SECONDS

_TOKENS = {"READ": "a-read-token", "WRITE": "a-write-token", "ADMIN": "an-admin-token"}
_PATIENCE = 3000.0
_EXAMPLES = "10"
_HERE = Path(__file__).parent


def _post_some(service: Service) -> None:
    """Post deliveries so that each verdict occurs."""
    issue, closed = Issue(created_at=at(2), labels=("experiment", "team:search")).closed(at(5))
    service.post_all(
        [
            issue.opened(),
            closed,
            Issue(number=46, created_at=at(3)).opened(),
            Issue(number=47, created_at=at(3), labels=("bug",)).opened(),
            github("issues", b"{"),
        ]
    )


# Many endpoints refuse the read and the write token, so the quick phases are enough for these tokens.
@pytest.mark.parametrize(
    ("token", "phases"),
    [("READ", "examples,coverage"), ("WRITE", "examples,coverage"), ("ADMIN", "examples,coverage,fuzzing,stateful")],
)
def test_the_api_matches_its_openapi_document(database_url: str, tmp_path: Path, token: str, phases: str) -> None:
    variables = {f"API_TOKENS__{name}": value for name, value in _TOKENS.items()}
    with serving(database_url, tmp_path, METRICS_TOKEN=_TOKENS[token], **variables) as service:
        _post_some(service)
        ended = subprocess.run(
            [
                str(Path(sys.executable).parent / "schemathesis"),
                *("--config-file", str(_HERE / "schemathesis.toml")),
                *("run", f"{service.url}/openapi.json", "--no-color"),
                *("--header", f"Authorization: Bearer {_TOKENS[token]}"),
                *("--checks", "all", "--phases", phases, "--mode", "all"),
                *("--max-examples", _EXAMPLES, "--seed", "1", "--generation-deterministic"),
                # On a busy machine, generating data and answering a request may take any time.
                *("--suppress-health-check", "too_slow", "--max-response-time", f"{PATIENCE_SECONDS}"),
                "--continue-on-failure",
            ],
            env={
                **os.environ,
                "SCHEMATHESIS_HOOKS": "tests.system.conformance.hooks",
                "PYTHONPATH": str(REPOSITORY),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr

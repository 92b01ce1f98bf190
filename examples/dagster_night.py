"""A night as a Dagster asset: `dagster dev -f dagster_night.py`, where this project, with Ray, is at CHOREAI_HOME."""

import os
import subprocess

import dagster as dg


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=2, delay=900), description="Style tags of every new video")
def style_tags(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    home = os.environ.get("CHOREAI_HOME", "/opt/choreai")
    command = [f"{home}/deploy/submit.sh", "tag", f"{home}/deploy/tag.toml", "--env", "CHOREAI_WEBHOOK_URL"]
    code = subprocess.run([*command, "--", "--num-workers", "16"], check=False).returncode
    if code in (2, 130):  # wrong input, or somebody stopped it: another try would end alike
        raise dg.Failure(f"submit.sh ended with {code}; its last lines say why", allow_retries=False)
    if code:
        raise RuntimeError(f"submit.sh ended with {code}; finished work is kept, and the next try goes on")
    return dg.MaterializeResult(metadata={"exit_code": code})


night = dg.ScheduleDefinition(name="night", target=dg.AssetSelection.assets(style_tags), cron_schedule="0 2 * * *")
definitions = dg.Definitions(assets=[style_tags], schedules=[night])

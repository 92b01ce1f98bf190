"""A night as an Airflow DAG: submit the tagging job, follow its log, and try again only what another try can finish.

Put it into the DAG folder of an Airflow whose workers have this project, with Ray, at CHOREAI_HOME.
"""

import os
import subprocess
from datetime import datetime, timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException


@dag(schedule="0 2 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def choreai_night():
    @task(retries=2, retry_delay=timedelta(minutes=15))
    def tag_new_videos() -> None:
        home = os.environ.get("CHOREAI_HOME", "/opt/choreai")
        command = [f"{home}/deploy/submit.sh", "tag", f"{home}/deploy/tag.toml", "--env", "CHOREAI_WEBHOOK_URL"]
        code = subprocess.run([*command, "--", "--num-workers", "16"], check=False).returncode
        if code in (2, 130):  # wrong input, or somebody stopped it: another try would end alike
            raise AirflowFailException(f"submit.sh ended with {code}; its last lines say why")
        if code:
            raise RuntimeError(f"submit.sh ended with {code}; finished work is kept, and the next try goes on")

    tag_new_videos()


night = choreai_night()

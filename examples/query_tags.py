"""Query the tags that `choreai tag` wrote, in DuckDB and in pandas: no code of choreai is needed.

python examples/query_tags.py out
"""

import sys
from pathlib import Path

import duckdb
import pandas as pd

STYLES = """
    SELECT style, count(*) AS videos, round(avg(score), 2) AS score
    FROM read_parquet($tags) WHERE style IS NOT NULL GROUP BY style ORDER BY videos DESC, style
"""
LIVELIEST = """
    SELECT tags.video_id, tags.style, round(kinematics.hands_speed_mean, 2) AS hands_speed
    FROM read_parquet($tags) AS tags JOIN read_parquet($kinematics) AS kinematics USING (video_id, content_id)
    WHERE kinematics.is_main ORDER BY hands_speed_mean DESC LIMIT 3
"""


def styles_in_pandas(output: Path) -> pd.DataFrame:
    """Return the segments of every video, one row each: who danced what, from when to when (seconds)."""
    tags = pd.read_parquet(output / "tags", columns=["video_id", "segments"])
    rows = tags.explode("segments").dropna().reset_index(drop=True)
    segments = pd.json_normalize(rows["segments"].tolist())
    return pd.concat([rows["video_id"], segments], axis=1)


def main(output: Path) -> None:
    # A folder for each model version and pose fingerprint: the pattern takes all of them.
    files = {name: str(output / name / "*" / "*.parquet") for name in ("tags", "kinematics")}
    print(duckdb.execute(STYLES, {"tags": files["tags"]}).df())
    print(duckdb.execute(LIVELIEST, files).df())
    print(styles_in_pandas(output).head())


if __name__ == "__main__":
    main(Path(sys.argv[1]))

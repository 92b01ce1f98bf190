"""The page of clusters: stills of each group's most typical video, for a curator who gives it a name."""

import base64
from collections.abc import Mapping

from choreai.pipeline.clusters import VideoClusters
from choreai.visualize.html import render_page

MAX_LISTED = 12

_STYLE = """
article { padding: .8rem; margin: .8rem 0; border: 1px solid var(--line); border-radius: .6rem; }
article img { width: 100%; max-width: 60rem; border-radius: .3rem; display: block; }
article h2 { margin: 0 0 .4rem; } .missing { background: var(--card); border-radius: .3rem; padding: 2rem 1rem; }
"""

_BODY = """
<h1>{{ title }}</h1>
<p class="soft">{{ num_videos }} videos by {{ compared }}. The pictures are of the most typical video of each group.
{{ warning | capitalize }}</p>
<main>
{% for cluster in clusters %}
<article>
  <h2>{{ loop.index }}. {{ cluster.size }} videos: {{ cluster.words }}</h2>
  {% if cluster.still %}<img src="{{ cluster.still }}" alt="four stills with skeletons" loading="lazy">
  {% else %}<div class="missing">No picture: {{ cluster.problem }}</div>{% endif %}
  <p><b>{{ cluster.medoid }}</b> <span class="soft">{{ cluster.uri }}</span></p>
  <p>{{ cluster.others }}</p>
</article>
{% endfor %}
{% if outside %}<h2>Near no group: {{ num_outside }}</h2><p>{{ outside }}</p>{% endif %}
</main>
"""


def clusters_page(found: VideoClusters, stills: Mapping[str, bytes | str], *, warning: str) -> str:
    """Return the page; `stills` has by medoid a JPEG, or why there is none."""
    return render_page(
        "Videos that move alike",
        _BODY,
        {
            "num_videos": len(found.uris),
            "compared": found.compared,
            "warning": warning,
            "clusters": [
                {
                    "size": len(each.video_ids),
                    "words": each.words,
                    "medoid": each.medoid,
                    "uri": found.uris.get(each.medoid, ""),
                    "others": _listed(each.video_ids[1:]),
                    **_picture(stills.get(each.medoid, "not asked for")),
                }
                for each in found.clusters
            ],
            "num_outside": len(found.outside),
            "outside": _listed(found.outside),
        },
        style=_STYLE,
    )


def _picture(still: bytes | str) -> dict[str, str]:
    if isinstance(still, str):
        return {"still": "", "problem": still}
    return {"still": f"data:image/jpeg;base64,{base64.b64encode(still).decode()}", "problem": ""}


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more

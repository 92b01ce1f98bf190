"""Ray's fake cloud, which refuses spot nodes while a file says so: as AWS does when it has none to spare."""

import os
from pathlib import Path
from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider

NO_SPOT = "CHOREAI_TEST_NO_SPOT"
"""The variable that names the file."""


class MoodyProvider(FakeMultiNodeProvider):
    """Raises, as a cloud's client does, for each spot node that is asked for while the file is there."""

    def create_node_with_resources_and_labels(
        self, node_config: Any, tags: Any, count: Any, resources: Any, labels: Any
    ) -> Any:
        if labels.get("ray.io/market-type") == "spot" and Path(os.environ[NO_SPOT]).exists():
            raise RuntimeError("InsufficientInstanceCapacity")
        return super().create_node_with_resources_and_labels(node_config, tags, count, resources, labels)

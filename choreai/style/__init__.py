"""The style model: network, training, evaluation, tagging."""

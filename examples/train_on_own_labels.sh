#!/usr/bin/env bash
# Train a style model on your own labels, then tag with it.
#
#   examples/train_on_own_labels.sh videos/ out
#
# `videos/` has a folder for each style, `videos/salsa/anna-1.mp4`. What follows the two folders goes to `choreai train`:
# a few dozen dancers a style are a start. Where a dancer is in several videos, say so, or the figures flatter: with
# `--labels-file labels.csv`, columns video_id, label and group, in place of the folders' names.
set -euo pipefail
videos=$1
output=$2
shift 2

choreai train "$videos" --labels-from folders --output "$output" "$@"
choreai tag "$videos" --output "$output"
choreai search "score > 0.5" --output "$output"

// Draws skeletons on a canvas over the picture: a dark outline, then the track's colour, paler on the person's right
// side. People who do not dance are thin and grey.
import { trackColor } from "./colors.js";

const EDGES = [[0, 1], [0, 2], [1, 3], [2, 4], [5, 6], [5, 11], [6, 12], [11, 12], [5, 7], [7, 9], [6, 8], [8, 10],
  [11, 13], [13, 15], [12, 14], [14, 16]];
const MIN_SCORE = 0.3;
const isRight = (keypoint) => keypoint > 0 && keypoint % 2 === 0;

/** `people`: {track_id, dances, keypoints: [x, y, score, ...]} in pixels of a picture of `width` by `height`. */
export function drawPeople(canvas, people, width, height) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const thickness = Math.max(2, Math.min(width, height) / 130);
  context.lineCap = context.lineJoin = "round";
  for (const { track_id: trackId, dances, keypoints } of [...people].sort((a, b) => (a.dances !== false) - (b.dances !== false))) {
    const color = trackColor(trackId);
    const seen = (k) => keypoints[3 * k + 2] >= MIN_SCORE;
    const edges = EDGES.filter(([a, b]) => seen(a) && seen(b));
    if (dances === false) {
      stroke(context, keypoints, edges, "rgb(16 16 16 / .7)", 1.2 * thickness);
      stroke(context, keypoints, edges, "rgb(210 210 210)", 0.45 * thickness);
      continue;
    }
    const right = edges.filter(([a, b]) => isRight(a) && isRight(b));
    const other = edges.filter(([a, b]) => !(isRight(a) && isRight(b)));
    stroke(context, keypoints, edges, "rgb(16 16 16 / .85)", 2.2 * thickness);
    stroke(context, keypoints, right, `color-mix(in srgb, ${color} 35%, white)`, thickness);
    stroke(context, keypoints, other, color, thickness);
    context.fillStyle = "white";
    for (let k = 0; k < 17; k++) {
      if (!seen(k)) continue;
      context.beginPath();
      context.arc(keypoints[3 * k], keypoints[3 * k + 1], 0.8 * thickness, 0, 7);
      context.fill();
    }
  }
}

/** Return [left, top, right, bottom] of a person's keypoints that are seen, with a little room around them; null if none are. */
export function boxOf(keypoints) {
  const seen = [...Array(17).keys()].filter((k) => keypoints[3 * k + 2] >= MIN_SCORE);
  if (!seen.length) return null;
  const [xs, ys] = [0, 1].map((axis) => seen.map((k) => keypoints[3 * k + axis]));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const room = 0.08 * Math.max(right - left, bottom - top) + 4;
  return [left - room, top - room, right + room, bottom + room];
}

function stroke(context, keypoints, edges, color, width) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.beginPath();
  for (const [a, b] of edges) {
    context.moveTo(keypoints[3 * a], keypoints[3 * a + 1]);
    context.lineTo(keypoints[3 * b], keypoints[3 * b + 1]);
  }
  context.stroke();
}

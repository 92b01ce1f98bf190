// The time bar: each dancer's segments as buttons that seek to them, and a needle at the current time.
import { inkOn, styleColor } from "./colors.js";
import { clock, make, percent } from "./page.js";

export function segmentBars(element, tag, durationSeconds, video) {
  const tracks = [...new Set(tag.segments.map((segment) => segment.track_id))];
  const needles = [];
  element.replaceChildren(...tracks.map((track) => {
    const needle = make("span", { class: "needle" });
    needles.push(needle);
    const bar = make("div", { class: "segments", role: "group", "aria-label": `Person ${track}` });
    bar.append(...tag.segments.filter((s) => s.track_id === track).map((s) => segmentButton(s, durationSeconds, video)), needle);
    return bar;
  }));
  if (!tracks.length) element.replaceChildren(make("p", { class: "quiet", text: "No segments." }));
  const move = () => needles.forEach((needle) => { needle.style.left = `${(100 * video.currentTime) / durationSeconds}%`; });
  video.addEventListener("timeupdate", move);
  move();
}

/** The beats of the music under the bars, and in words what was heard. */
export function beatBar(element, music, durationSeconds) {
  if (!music) return;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const strokes = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [name, value] of Object.entries({ class: "beats", viewBox: `0 0 ${durationSeconds} 1`, preserveAspectRatio: "none", "aria-hidden": "true" })) {
    svg.setAttribute(name, value);
  }
  strokes.setAttribute("d", music.beat_seconds.map((seconds) => `M${seconds} 0V1`).join(""));
  svg.append(strokes);
  element.append(...(music.beat_seconds.length ? [svg] : []), make("p", { class: "quiet", text: `Music: ${music.words}` }));
}

function segmentButton(segment, durationSeconds, video) {
  const { start_seconds: start, stop_seconds: stop, style, score } = segment;
  const label = `${style}, ${clock(start)} to ${clock(stop)}${score === null ? "" : `, ${percent(score)}`}`;
  const button = make("button", { type: "button", text: style, title: label, "aria-label": label,
    onclick: () => { video.currentTime = start; video.play(); } });
  const color = styleColor(style);
  button.style.left = `${(100 * start) / durationSeconds}%`;
  button.style.width = `${(100 * (Math.min(stop, durationSeconds) - start)) / durationSeconds}%`;
  button.style.background = color;
  button.style.color = inkOn(color);
  return button;
}

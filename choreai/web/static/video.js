// One video of the catalog: playback with skeletons and segments, the reasons for its tag, who dances, and forms to
// correct both.
import { correct } from "./corrections.js";
import { ask, byId, clock, make, percent, showProblem } from "./page.js";
import { WhoDances } from "./people.js";
import { Player } from "./player.js";
import { segmentBars } from "./segments.js";
import { drawPeople } from "./skeleton.js";
import { showTag } from "./tag.js";

const MAX_GAP_SECONDS = 0.5; // as in annotated videos: skeletons are not interpolated over longer gaps
const key = location.pathname.split("/").pop();
const url = `/v1/catalog/${encodeURIComponent(key)}`;
const video = byId("video");
let frames = [];
let taken = ""; // what takes the last correction back
showLike();
const who = new WhoDances(url, video, { onNamed: () => load(), onProblem: (problem) => showProblem(byId("problem"), problem) });

new Player(video, byId("player"), byId("stage"));
video.addEventListener("loadedmetadata", () => {
  byId("stage").style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
  seekAsAsked();
});
addEventListener("hashchange", seekAsAsked);
video.addEventListener("error", () => {
  byId("unplayable").textContent = "This browser cannot play the video, or the file is gone.";
  byId("unplayable").hidden = false;
});
await load();
video.src = `${url}/media`;
requestAnimationFrame(draw);

/** Show the moment that the address names: "#t=12.5". */
function seekAsAsked() {
  const seconds = Number(new URLSearchParams(location.hash.slice(1)).get("t"));
  if (seconds > 0) video.currentTime = seconds;
}

async function load() {
  byId("problem").hidden = true;
  try {
    const found = await ask(url);
    show(found);
    frames = await ask(`${url}/keypoints`);
    who.show(found, await ask(`${url}/people`));
  } catch (problem) {
    showProblem(byId("problem"), problem);
  }
}

function show(found) {
  byId("title").textContent = found.video_id;
  document.title = `choreai: ${found.video_id}`;
  const tagged = new Date(found.tagged_at).toLocaleDateString([], { dateStyle: "medium" });
  byId("about").textContent = [found.duration === null ? null : clock(found.duration), `tagged ${tagged}`,
    `model ${found.model_version}`, found.label ? `labelled ${found.label}` : null].filter(Boolean).join(", ");
  showTag(byId("tag"), found.style === null ? null : found, found.reason, found.input_quality ? [found.input_quality] : []);
  const styles = found.distribution.map((entry) => entry.style);
  byId("styles").replaceChildren(...[...styles, "unknown"].map((style) => make("option", { value: style })));
  const last = Math.max(0.1, found.duration ?? 0, ...found.segments.map((segment) => segment.stop_seconds));
  segmentBars(byId("segments"), found, last, video);
  byId("shown").hidden = false;
}

/** Show a few videos that move like this one, or how to get them. */
async function showLike() {
  const like = await ask(`${url}/similar?count=8`).catch(() => null);
  byId("alike").hidden = !like;
  if (!like) return;
  byId("alike-state").textContent = like.why_none || `Searched among ${like.num_videos.toLocaleString()} videos.`;
  byId("alike-more").hidden = !like.videos.length;
  byId("alike-more").href = `/catalog?like=${encodeURIComponent(key)}`;
  byId("alike-list").replaceChildren(...like.videos.map((video) => {
    const picture = make("img", { src: `/v1/catalog/${video.key}/still.jpg`, alt: "", loading: "lazy", width: 480, height: 360,
      onerror: (event) => { event.target.style.visibility = "hidden"; } });
    const text = make("span", { class: "text" }, make("strong", { text: video.style ?? "no tag" }), make("b", { class: "small", text: video.video_id }),
      make("span", { class: "quiet small", text: `${percent(Math.max(0, video.similarity))} alike, ${clock(video.own_start_seconds)} here, ${clock(video.start_seconds)} there` }));
    return make("li", { class: "tile" }, make("a", { href: `/catalog/${video.key}#t=${video.start_seconds.toFixed(1)}` }, make("span", { class: "picture" }, picture), text));
  }));
}

function draw() {
  if (video.videoWidth) {
    const people = peopleAt(video.currentTime);
    drawPeople(byId("overlay"), people, video.videoWidth, video.videoHeight);
    who.place(people);
  }
  requestAnimationFrame(draw);
}

/** Return everybody at a time, interpolated between the two samples around it. */
function peopleAt(seconds) {
  let [low, high] = [0, frames.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (frames[middle].seconds <= seconds) low = middle + 1;
    else high = middle;
  }
  const [before, after] = [frames[low - 1], frames[low]];
  if (!before) return [];
  if (!after || after.seconds - before.seconds > MAX_GAP_SECONDS) {
    return seconds - before.seconds < 0.15 ? before.people : [];
  }
  const share = (seconds - before.seconds) / (after.seconds - before.seconds);
  return before.people.flatMap(({ track_id: trackId, dances, keypoints }) => {
    const next = after.people.find((person) => person.track_id === trackId);
    if (!next) return [];
    const mixed = keypoints.map((value, i) => (i % 3 === 2 ? Math.min(value, next.keypoints[i])
      : value + share * (next.keypoints[i] - value)));
    return [{ track_id: trackId, dances, keypoints: mixed }];
  });
}

byId("correct").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("problem").hidden = true;
  try {
    const correction = Object.fromEntries(new FormData(event.target));
    const stored = await correct(`${url}/corrections`, correction);
    if (!stored) return;
    show(await ask(url));
    taken = stored.undo;
    byId("undo").hidden = false;
  } catch (problem) {
    showProblem(byId("problem"), problem);
  }
});

byId("undo").addEventListener("click", async () => {
  byId("problem").hidden = true;
  byId("undo").hidden = true;
  try {
    await ask("/v1/corrections/undo", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ undo: taken }) });
    show(await ask(url));
  } catch (problem) {
    showProblem(byId("problem"), problem);
  }
});

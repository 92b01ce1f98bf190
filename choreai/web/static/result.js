// The result of an upload: waits for it, then shows the annotated video, the tag and the downloads.
import { ask, byId, clock, make, percent, showProblem } from "./page.js";
import { Beside } from "./beside.js";
import { Player } from "./player.js";
import { remember } from "./recent.js";
import { beatBar, segmentBars } from "./segments.js";
import { fileName, share } from "./share.js";
import { showTag } from "./tag.js";

const WAIT_MS = 700;
const id = location.pathname.split("/").pop();
const STATES = { waiting: "Waiting in the queue", working: "Processing" };
const DRAWING = "Drawing the skeletons into the video"; // the answer is there before
const player = new Player(byId("video"), byId("player"), byId("stage"));
const beside = new Beside(id);

follow();

async function follow() {
  try {
    const clip = await ask(`/v1/videos/${encodeURIComponent(id)}`);
    byId("title").textContent = clip.name;
    document.title = `choreai: ${clip.name}`;
    byId("waiting").hidden = !(clip.state in STATES) || Boolean(clip.result);
    if (clip.state in STATES) {
      const [name, text] = clip.result ? ["drawing-", DRAWING] : ["", STATES[clip.state]];
      byId(`${name}state`).textContent = `${text}, ${percent(clip.progress)}`;
      byId(`${name}bar`).value = clip.progress;
      if (clip.result) answer(clip.result);
      setTimeout(follow, WAIT_MS);
    } else if (clip.state === "failed") {
      showProblem(byId("problem"), new Error(clip.detail));
    } else {
      show(clip);
    }
  } catch (problem) {
    showProblem(byId("problem"), problem);
  }
}

/** Show the tag. */
function answer({ tag, why_no_tag: whyNot, input_quality: quality, width, height }) {
  showTag(byId("tag"), tag, whyNot, quality);
  byId("stage").style.aspectRatio = `${width} / ${height}`;
  byId("result").hidden = false;
}

function show(clip) {
  const { tag, duration_seconds: duration, width, height } = clip.result;
  const until = new Date(1000 * clip.expires_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  byId("about").textContent = `${duration === null ? "" : `${clock(duration)}, `}${width} × ${height}; kept until ${until}`;
  const file = (name) => `/v1/videos/${clip.video_id}/${name}`;
  const video = byId("video");
  video.src = file("annotated.mp4");
  byId("figure").onload = () => { byId("movement").hidden = false; };
  byId("figure").src = file("movement.svg");
  byId("downloads").replaceChildren(
    make("button", { type: "button", class: "main", text: "Clip to share", onclick: (event) => shareClip(event.target, clip) }),
    make("a", { class: "button", href: file("annotated.mp4"), download: "annotated.mp4", text: "Annotated video" }),
    make("a", { class: "button", href: file("tag.json"), download: "tag.json", text: "Tag (JSON)" }),
    make("a", { class: "button", href: file("keypoints.parquet"), download: "keypoints.parquet", text: "Keypoints (Parquet)" }),
    make("a", { class: "button", href: file("sheet.png"), download: "sheet.png", text: "Stills" }),
    make("button", { type: "button", text: "Copy the link", onclick: copyLink }),
  );
  answer(clip.result);
  segmentBars(byId("segments"), tag ?? { segments: [] }, duration ?? 1, video);
  beatBar(byId("segments"), clip.result.music, duration ?? 1);
  byId("result").classList.remove("waiting");
  byId("drawing").hidden = true;
  remember(clip.video_id, clip.name);
  beside.begin(location.search);
}

/** Share the annotated video, or of it the loop that is set. */
async function shareClip(button, clip) {
  button.disabled = true;
  const name = clip.name.replace(/\.\w+$/, "");
  try {
    const film = await (player.loop ? player.filmLoop((left) => { button.textContent = `Cutting, ${clock(left)}`; })
      : fetch(byId("video").src).then((response) => response.blob()));
    await share(new File([film], fileName(name, film.type), { type: film.type }));
  } catch {
    showProblem(byId("problem"), new Error("this browser cannot cut the clip; clear the loop, and the whole video is shared"));
  } finally {
    button.disabled = false;
    button.textContent = "Clip to share";
  }
}

async function copyLink(event) {
  await navigator.clipboard.writeText(location.href);
  event.target.textContent = "Copied";
}

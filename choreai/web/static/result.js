// The result of an upload: waits for it, then shows the annotated video, the tag and the downloads.
import { ask, byId, clock, make, percent, showProblem } from "./page.js";
import { segmentBars } from "./segments.js";
import { showTag } from "./tag.js";

const WAIT_MS = 700;
const id = location.pathname.split("/").pop();
const STATES = { waiting: "Waiting in the queue", working: "Processing" };

follow();

async function follow() {
  try {
    const clip = await ask(`/v1/videos/${encodeURIComponent(id)}`);
    byId("title").textContent = clip.name;
    document.title = `choreai: ${clip.name}`;
    byId("waiting").hidden = !(clip.state in STATES);
    if (clip.state in STATES) {
      byId("state").textContent = `${STATES[clip.state]}, ${percent(clip.progress)}`;
      byId("bar").value = clip.progress;
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

function show(clip) {
  const { tag, duration_seconds: duration, width, height } = clip.result;
  const until = new Date(1000 * clip.expires_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  byId("about").textContent = `${duration === null ? "" : `${clock(duration)}, `}${width} × ${height}; kept until ${until}`;
  const file = (name) => `/v1/videos/${clip.video_id}/${name}`;
  const video = byId("video");
  video.addEventListener("loadedmetadata", () => { // higher than the uploaded video, because of the time bar below it
    byId("stage").style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
  });
  video.src = file("annotated.mp4");
  byId("figure").onload = () => { byId("movement").hidden = false; };
  byId("figure").src = file("movement.svg");
  byId("downloads").replaceChildren(
    make("a", { class: "button", href: file("annotated.mp4"), download: "annotated.mp4", text: "Annotated video" }),
    make("a", { class: "button", href: file("tag.json"), download: "tag.json", text: "Tag (JSON)" }),
    make("a", { class: "button", href: file("keypoints.parquet"), download: "keypoints.parquet", text: "Keypoints (Parquet)" }),
    make("a", { class: "button", href: file("sheet.png"), download: "sheet.png", text: "Stills" }),
    make("button", { type: "button", text: "Copy the link", onclick: copyLink }),
  );
  showTag(byId("tag"), tag, clip.result.why_no_tag, clip.result.input_quality);
  segmentBars(byId("segments"), tag ?? { segments: [] }, duration ?? 1, video);
  byId("result").hidden = false;
}

async function copyLink(event) {
  await navigator.clipboard.writeText(location.href);
  event.target.textContent = "Copied";
}

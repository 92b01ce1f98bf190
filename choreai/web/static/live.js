// The live page: a camera or a video file, the skeletons over it, and the predicted style.
import { byId, showProblem, signIn } from "./page.js";
import { drawPeople } from "./skeleton.js";
import { Stage } from "./stage.js";
import { LiveStream } from "./stream.js";
import { gaugeList, legend, reasonList, scoreList, verdictOf } from "./tag.js";
import { Timeline } from "./timeline.js";
import { wireUpload } from "./upload.js";

const video = byId("video");
const overlay = byId("overlay");
const timeline = new Timeline(byId("timeline"));
const stage = new Stage(video, overlay);
let stream = null;
let announced = "";

gaugeList(byId("gauges"), null);
wireUpload();
byId("camera").addEventListener("click", startCamera);
byId("which").addEventListener("change", () => { if (video.srcObject) startCamera(); });
byId("file").addEventListener("change", startFile);
byId("stop").addEventListener("click", () => stop());
byId("mute").addEventListener("click", () => { video.muted = !video.muted; });
video.addEventListener("ended", () => stop());
video.addEventListener("volumechange", showMuted);

async function startCamera() {
  stop();
  let camera;
  try {
    camera = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, ...chosenCamera() },
    });
  } catch (error) {
    showProblem(byId("problem"), new Error(error.name === "NotAllowedError"
      ? "the browser is not allowed to use the camera; allow it in the address bar, or play a video file"
      : "no camera was found; play a video file instead"));
    return;
  }
  video.srcObject = camera;
  const [track] = camera.getVideoTracks();
  start({ isCamera: true, isMirrored: (track.getSettings().facingMode ?? byId("which").value) !== "environment" });
  offerCameras();
}

/** Front or rear, or one by its id. */
function chosenCamera() {
  const { value } = byId("which");
  return ["user", "environment"].includes(value) ? { facingMode: value } : { deviceId: { exact: value } };
}

/** Offer all cameras by name; a browser tells them only once it may use one. */
async function offerCameras() {
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind, deviceId }) => kind === "videoinput" && deviceId);
  const offered = [...byId("which").options].map((option) => option.value);
  if (cameras.length > 1) byId("which").append(...cameras.filter(({ deviceId }) => !offered.includes(deviceId)).map(({ deviceId, label }) => new Option(label, deviceId)));
}

function startFile(event) {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file) return;
  stop();
  video.muted = false;
  video.src = URL.createObjectURL(file);
  start({ isCamera: false, isMirrored: false });
}

async function start(shown) {
  byId("problem").hidden = true;
  byId("empty").hidden = true;
  byId("stop").hidden = false;
  byId("mute").hidden = shown.isCamera; // of the camera there are pictures only
  stage.begin(shown);
  try {
    await play();
  } catch {
    stop();
    showProblem(byId("problem"), new Error("this browser cannot play that file; upload it below instead"));
    return;
  }
  fitStage(video.videoWidth / video.videoHeight);
  byId("signal").textContent = "connecting";
  stream = new LiveStream(video, { welcome, pose, busy, style, problem, closed: stop });
  stream.open();
}

/** Give the stage another shape only for a picture of quite another one: whatever is below it jumps. */
function fitStage(ratio) {
  const { clientWidth, clientHeight } = byId("stage");
  if (Math.abs(Math.log((ratio * clientHeight) / clientWidth)) > 0.35) byId("stage").style.aspectRatio = `${ratio}`;
}

/** Play with the sound; a browser that wants to be asked for sound once more gets the pictures without it. */
async function play() {
  try {
    await video.play();
  } catch (error) {
    if (error.name !== "NotAllowedError" || video.muted) throw error;
    video.muted = true;
    await video.play();
  }
}

function showMuted() {
  byId("mute").textContent = video.muted ? "Sound on" : "Mute";
}

function stop() {
  stream?.close();
  stream = null;
  stage.end();
  timeline.stop();
  video.pause();
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  if (video.src) {
    URL.revokeObjectURL(video.src);
    video.removeAttribute("src");
    video.load();
  }
  overlay.getContext("2d").clearRect(0, 0, overlay.width, overlay.height);
  overlay.dataset.people = "0";
  byId("empty").hidden = false;
  byId("stop").hidden = byId("mute").hidden = true;
  byId("signal").textContent = "";
}

function welcome(message) {
  const { styles } = message;
  byId("timeline-card").hidden = !styles.length;
  legend(byId("legend"), styles);
  timeline.start(styles);
}

function pose(message) {
  requestAnimationFrame(() => {
    if (!stream) return;
    drawPeople(overlay, message.people, message.width, message.height);
    stream.drawn(message.captured_ms);
    overlay.dataset.people = message.people.length;
    showSignal(message);
  });
}

function busy() {
  byId("signal").textContent = "the server is busy, please wait";
}

function showSignal(message) {
  const delay = stream.delay();
  const signal = byId("signal");
  signal.dataset.median = delay.median.toFixed(0);
  signal.dataset.p95 = delay.p95.toFixed(0);
  signal.dataset.count = delay.count;
  const now = performance.now();
  if (now - (signal.shownAt ?? 0) < 1000) return;
  signal.shownAt = now;
  const people = message.people.length ? "" : "; nobody in view";
  signal.textContent = `${message.frames_per_second.toFixed(1)} pictures per second, ${delay.median.toFixed(0)} ms delay${people}`;
}

function style(tag) {
  if (!stream) return;
  const verdict = verdictOf(tag);
  byId("verdict").textContent = verdict.text;
  byId("verdict").classList.toggle("unsure", verdict.isUnsure);
  byId("doubt").textContent = verdict.detail;
  stage.say(verdict, tag.score);
  scoreList(byId("scores"), tag.distribution);
  reasonList(byId("why"), tag);
  gaugeList(byId("gauges"), tag.kinematics);
  timeline.add(tag.distribution);
  if (verdict.text !== announced) {
    announced = verdict.text;
    byId("announce").textContent = `Style: ${announced}`;
    byId("timeline").setAttribute("aria-label", `Style probabilities over the last minute; now ${announced}`);
  }
}

function problem(message) {
  showProblem(byId("problem"), new Error(message.detail));
  if (message.status === 401) signIn();
}

// The controls of a video for people who learn a dance: half and quarter speed at the same pitch, a loop between two
// moments, a mirror, and full screen with whatever is drawn over the video.
import { wireFullScreen } from "./fullscreen.js";
import { make } from "./page.js";
import { filmOf } from "./recorder.js";

const SPEEDS = [[1, "1 ×"], [0.5, "½ ×"], [0.25, "¼ ×"]];
const LOOP = ["Loop from here", "to here", "Stop the loop"];
const ICONS = { // on a square of 20
  Play: "M5 3v14l12-7z", Pause: "M5 3h4v14H5zM11 3h4v14h-4z",
  Mute: "M2 7h4l5-4v14l-5-4H2zM13 7q3 3 0 6M15 4q6 6 0 12", "Sound on": "M2 7h4l5-4v14l-5-4H2zM13.5 7.5l5 5M18.5 7.5l-5 5",
  "Full screen": "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4", "Close the take": "M4 4l12 12M16 4L4 16",
};
const SVG = "http://www.w3.org/2000/svg";

export class Player {
  /** Fill `bar` with the controls of `video`. `stage` holds the video and is what is mirrored and shown full screen. */
  constructor(video, bar, stage) {
    Object.assign(this, { video, stage, from: null, to: null });
    const button = (text, onclick, attributes = {}) => make("button", { type: "button", text, onclick, ...attributes });
    const iconButton = (onclick) => make("button", { type: "button", class: "icon", onclick });
    this.play = iconButton(() => this.toggle());
    this.seek = make("input", { type: "range", class: "seek", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "Time",
      oninput: () => { video.currentTime = Number(this.seek.value); } });
    this.time = make("span", { class: "time" });
    this.speed = make("select", { "aria-label": "Speed", onchange: () => { video.playbackRate = Number(this.speed.value); } },
      ...SPEEDS.map(([value, text]) => make("option", { value, text })));
    this.looping = button(LOOP[0], () => this.nextOfLoop());
    this.mirror = button("Mirror", () => this.setMirrored(!stage.classList.contains("mirrored")), { "aria-pressed": "false" });
    this.sound = iconButton(() => { video.muted = !video.muted; });
    const full = iconButton(() => {});
    setIcon(full, "Full screen");
    wireFullScreen(full, stage);
    bar.classList.add("player");
    bar.replaceChildren(this.seek, this.play, this.time, this.speed, this.looping, this.mirror, this.sound, full);
    video.preservesPitch = true;
    for (const name of ["play", "pause", "ended", "volumechange", "durationchange", "seeked", "timeupdate"]) {
      video.addEventListener(name, () => this.show());
    }
    video.addEventListener("loadedmetadata", () => this.loaded());
    video.addEventListener("play", () => this.tick());
    video.addEventListener("click", () => this.toggle());
    this.show();
  }

  toggle() {
    if (this.video.paused) this.video.play();
    else this.video.pause();
  }

  setMirrored(isMirrored) {
    this.stage.classList.toggle("mirrored", isMirrored);
    this.mirror.setAttribute("aria-pressed", String(isMirrored));
  }

  setSpeed(rate) {
    this.speed.value = rate;
    this.video.playbackRate = rate;
  }

  /** A recording does not say how long it is: a browser knows once it has been at the end. */
  loaded() {
    const { video } = this;
    this.clearLoop();
    video.playbackRate = Number(this.speed.value);
    if (video.duration !== Infinity) return;
    video.addEventListener("durationchange", () => { video.currentTime = 0; }, { once: true });
    video.currentTime = 1e7;
  }

  /** The loop's two moments, or null. */
  get loop() {
    return this.to === null ? null : [this.from, this.to];
  }

  nextOfLoop() {
    const now = this.video.currentTime;
    if (this.to !== null) this.clearLoop();
    else if (this.from === null) this.from = now;
    else if (Math.abs(now - this.from) > 0.1) [this.from, this.to] = [Math.min(this.from, now), Math.max(this.from, now)];
    this.show();
  }

  /** Repeat what lies between two moments. */
  setLoop(from, to) {
    [this.from, this.to] = [from, to];
    this.video.currentTime = from;
    this.show();
  }

  again() {
    this.video.currentTime = this.from;
    this.video.play();
  }

  clearLoop() {
    this.from = this.to = null;
    this.show();
  }

  /** Return the loop as a film of its own, filmed while it plays once; `left` is told the seconds to go. */
  async filmLoop(left) {
    const { video } = this;
    const [from, to] = this.loop;
    video.pause();
    video.playbackRate = 1;
    video.currentTime = from;
    await new Promise((resolve) => { video.addEventListener("seeked", resolve, { once: true }); });
    const film = filmOf((video.captureStream ?? video.mozCaptureStream).call(video).getTracks());
    await video.play();
    while (video.currentTime < to - 0.02 && !video.ended && !video.paused && this.loop) {
      left(to - video.currentTime);
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    video.pause();
    this.setSpeed(Number(this.speed.value));
    return film.end();
  }

  tick() {
    const { video } = this;
    if (this.to !== null && (video.currentTime >= this.to || video.ended || video.currentTime < this.from - 0.5)) {
      video.currentTime = this.from;
    }
    this.seek.value = video.currentTime;
    if (!video.paused) requestAnimationFrame(() => this.tick());
  }

  show() {
    const { video, seek } = this;
    const length = Number.isFinite(video.duration) ? video.duration : 0;
    seek.max = length || 1;
    seek.value = video.currentTime;
    seek.setAttribute("aria-valuetext", `${tenths(video.currentTime)} of ${tenths(length)}`);
    const share = (seconds) => `${(100 * seconds) / (length || 1)}%`;
    seek.style.setProperty("--from", this.from === null ? "0%" : share(this.from));
    seek.style.setProperty("--to", this.from === null ? "0%" : share(this.to ?? video.currentTime));
    this.time.textContent = `${tenths(video.currentTime)} / ${tenths(length)}`;
    setIcon(this.play, video.paused ? "Play" : "Pause");
    setIcon(this.sound, video.muted ? "Sound on" : "Mute");
    this.looping.textContent = LOOP[this.to !== null ? 2 : this.from !== null ? 1 : 0];
    this.looping.setAttribute("aria-pressed", String(this.from !== null));
    if (this.to !== null && video.ended) this.again();
  }
}

/** Give a button an icon, and its name to those who do not see it. */
export function setIcon(button, name) {
  if (button.title === name) return;
  button.title = name;
  button.setAttribute("aria-label", name);
  const [icon, path] = ["svg", "path"].map((tag) => document.createElementNS(SVG, tag));
  icon.setAttribute("viewBox", "0 0 20 20");
  icon.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  icon.append(path);
  button.replaceChildren(icon);
}

/** Minutes, seconds and tenths, of which all digits are there: nothing jumps while they count. */
function tenths(seconds) {
  const whole = Math.floor(10 * seconds + 0.01);
  return `${Math.floor(whole / 600)}:${((whole % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

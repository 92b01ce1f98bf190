// The live page's stage: mirror, full screen with the style in large letters, and takes that are recorded and replayed on it.
import { wireFullScreen } from "./fullscreen.js";
import { byId, clock, make, showProblem } from "./page.js";
import { Player, setIcon } from "./player.js";
import { Recorder } from "./recorder.js";
import { Takes } from "./takes.js";

const IDLE_MS = 3000;

export class Stage {
  constructor(video, overlay) {
    Object.assign(this, { video, stage: byId("stage"), replay: byId("replay") });
    this.recorder = new Recorder(video, overlay, {
      count: (left) => this.count(left), time: (seconds) => this.time(seconds), note: (text) => this.takes.say(text),
    });
    this.takes = new Takes((film) => this.show(film));
    this.player = new Player(this.replay, byId("replay-bar"), this.stage);
    const close = make("button", { type: "button", class: "icon", onclick: () => this.leave() });
    setIcon(close, "Close the take");
    byId("replay-bar").append(close);
    this.toggleFull = wireFullScreen(byId("full"), this.stage);
    byId("record").addEventListener("click", () => this.record());
    byId("mirror").addEventListener("click", () => this.setMirrored(!this.isMirrored));
    document.addEventListener("keydown", (event) => this.press(event));
    for (const name of ["pointermove", "pointerdown", "keydown", "focusin"]) this.stage.addEventListener(name, () => this.wake());
  }

  /** Show the buttons in the picture, for a while. */
  wake() {
    this.stage.classList.remove("idle");
    clearTimeout(this.idling);
    this.idling = setTimeout(() => this.stage.classList.toggle("idle", this.replay.hidden || !this.replay.paused), IDLE_MS);
  }

  /** The stage shows a camera or a file from now on. */
  begin({ isCamera, isMirrored }) {
    this.leave();
    this.setMirrored(isMirrored);
    byId("over").hidden = false;
    byId("record").hidden = !isCamera || typeof MediaRecorder === "undefined";
  }

  end() {
    this.recorder.stop();
    byId("over").hidden = byId("headline").hidden = true;
  }

  /** Say the style in the picture: in full screen, where nothing else says it. */
  say({ text, isUnsure }, score) {
    byId("headline").hidden = false;
    byId("headline").classList.toggle("unsure", isUnsure);
    byId("headline-style").textContent = text;
    byId("headline-score").textContent = isUnsure || score === undefined ? "" : `${Math.round(100 * score)} %`;
  }

  setMirrored(isMirrored) {
    this.isMirrored = isMirrored;
    this.player.setMirrored(isMirrored); // a replay is seen as the camera was
    byId("mirror").setAttribute("aria-pressed", String(isMirrored));
  }

  async record() {
    if (this.recorder.isBusy) {
      this.recorder.stop();
      return;
    }
    this.leave();
    const { countdown, seconds, sound, skeleton } = byId("take").elements;
    byId("record").textContent = "End take";
    byId("record").classList.add("on");
    try {
      const take = await this.recorder.record({
        countdown: Number(countdown.value), seconds: Number(seconds.value), hasSound: sound.checked, hasSkeleton: skeleton.checked,
      });
      if (take) this.takes.add(take);
    } catch {
      showProblem(byId("problem"), new Error("this browser cannot record the camera"));
    } finally {
      byId("record").textContent = "Record";
      byId("record").classList.remove("on");
      byId("recording").hidden = byId("countdown").hidden = true;
    }
  }

  count(left) {
    byId("countdown").hidden = !left;
    byId("countdown").textContent = left || "";
  }

  time(seconds) {
    byId("recording").hidden = false;
    byId("recording").textContent = clock(seconds);
  }

  /** Replay a film on the stage, over the camera's picture. */
  show(film) {
    this.leave();
    this.replay.src = URL.createObjectURL(film);
    this.replay.hidden = byId("replay-bar").hidden = false;
    this.stage.classList.add("replaying");
    this.wake();
    this.replay.play().catch(() => {}); // a browser that wants to be asked for sound: the button is there
  }

  leave() {
    if (this.replay.hidden) return;
    this.replay.pause();
    URL.revokeObjectURL(this.replay.src);
    this.replay.removeAttribute("src");
    this.replay.load();
    this.replay.hidden = byId("replay-bar").hidden = true;
    this.stage.classList.remove("replaying");
    this.setMirrored(this.isMirrored);
  }

  press(event) {
    this.wake();
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), select, textarea")) return;
    const isOn = !byId("over").hidden;
    if (event.key === "Escape") this.leave();
    else if (event.key === " " && !this.replay.hidden && !event.target.closest("button, a, summary")) this.player.toggle();
    else if (isOn && event.key === "r" && !byId("record").hidden) this.record();
    else if (isOn && event.key === "f") this.toggleFull();
    else if (isOn && event.key === "m") this.setMirrored(!this.isMirrored);
    else return;
    event.preventDefault();
  }
}

// A result beside a reference: both videos in time with each other, how far apart they are over time, and where most.
import { Problem, ask, byId, clock, make, sentence, showProblem } from "./page.js";
import { Player } from "./player.js";
import { recent } from "./recent.js";
import { send } from "./upload.js";

const WAIT_MS = 700;
const FAR_SECONDS = 0.3; // further apart than that, the reference is put in its place rather than hurried
const SVG = "http://www.w3.org/2000/svg";
const UNITS = [1000, 100]; // of the curve's drawing

export class Beside {
  constructor(id) {
    this.id = id;
    this.mine = byId("mine");
    this.reference = byId("reference");
    this.player = new Player(this.mine, byId("pair-player"), byId("pair"));
    byId("pair-player").append(make("button", { type: "button", text: "Hear the reference", "aria-pressed": "false", onclick: (event) => this.hear(event.target) }));
    byId("beside-form").addEventListener("submit", (event) => { event.preventDefault(); this.compareWith(targetOf(byId("beside-link").value)); });
    byId("beside-recent").addEventListener("change", (event) => { if (event.target.value) this.compareWith({ other: event.target.value }); });
    byId("beside-file").addEventListener("change", (event) => { if (event.target.files[0]) this.upload(event.target.files[0]); });
    byId("curve").addEventListener("click", (event) => this.seekTo(event));
    for (const video of [this.mine, this.reference]) video.addEventListener("loadedmetadata", () => this.shape());
    const follow = () => { if (this.found) this.follow(); requestAnimationFrame(follow); };
    follow();
  }

  /** Offer what this browser has uploaded, and compare with what the address names. */
  begin(address) {
    const others = recent().filter((each) => each.id !== this.id);
    byId("beside-recent-field").hidden = !others.length;
    byId("beside-recent").replaceChildren(new Option("choose one", ""), ...others.map(({ id, name }) => new Option(name, id)));
    const [other, catalog] = ["with", "catalog"].map((name) => new URLSearchParams(address).get(name));
    if (other || catalog) this.compareWith(other ? { other } : { catalog });
  }

  async upload(file) {
    try {
      this.say("Sending the reference.");
      const { video_id: other, url } = await send(file, () => {});
      while (true) {
        const { state, detail, progress } = await ask(url);
        if (state === "failed") throw new Problem({ detail });
        if (state === "done") break;
        this.say(`The reference is being processed, ${Math.round(100 * progress)} %.`);
        await new Promise((resolve) => { setTimeout(resolve, WAIT_MS); });
      }
      await this.compareWith({ other });
    } catch (problem) {
      this.fail(problem);
    }
  }

  /** `target`: {other: the id of a result} or {catalog: the key of a video}. */
  async compareWith(target) {
    byId("beside-problem").hidden = true;
    if (!target) {
      this.fail(new Error("this is no link of a result or of a catalog video"));
      return;
    }
    this.say("Comparing.");
    try {
      const found = await ask(`/v1/videos/${encodeURIComponent(this.id)}/compare?${new URLSearchParams(target)}`);
      history.replaceState(null, "", `?${new URLSearchParams(target.other ? { with: target.other } : target)}`);
      this.show(found, target.other ? `/v1/videos/${target.other}/annotated.mp4` : `/v1/catalog/${target.catalog}/media`);
    } catch (problem) {
      this.fail(problem);
    }
  }

  show(found, referenceUrl) {
    this.found = found;
    this.length = Math.max(found.seconds.at(-1), 0.1);
    this.say(summaryOf(found));
    byId("beside-shown").hidden = false;
    byId("reference-figure").classList.toggle("turned", found.mirrored);
    this.mine.src = `/v1/videos/${this.id}/annotated.mp4`;
    this.reference.src = referenceUrl;
    this.draw();
    byId("worst").replaceChildren(...found.worst.map((moment) => make("li", {}, make("button", { type: "button", class: "slim",
      onclick: () => this.repeat(moment.seconds) }, make("b", { text: clock(moment.seconds) }), wordsFor(moment)))));
  }

  say(text) {
    byId("beside-state").textContent = text;
  }

  fail(problem) {
    this.say("");
    showProblem(byId("beside-problem"), problem);
  }

  hear(button) {
    const isReference = this.reference.muted;
    this.reference.muted = !isReference;
    this.mine.muted = isReference;
    button.setAttribute("aria-pressed", String(isReference));
  }

  /** The frames of both videos are as wide and high as the taller of the two needs. */
  shape() {
    const shapes = [this.mine, this.reference].filter((video) => video.videoWidth).map((video) => video.videoWidth / video.videoHeight);
    byId("pair").style.setProperty("--shape", Math.max(0.56, Math.min(...shapes)));
  }

  /** Where in the reference a moment is; before and behind what belongs together it goes on at the same speed. */
  partnerOf(seconds) {
    const { seconds: mine, other_seconds: theirs, speed } = this.found;
    if (seconds <= mine[0]) return theirs[0] - speed * (mine[0] - seconds);
    const after = mine.findIndex((each) => each >= seconds);
    if (after < 0) return theirs.at(-1) + speed * (seconds - mine.at(-1));
    const share = (seconds - mine[after - 1]) / (mine[after] - mine[after - 1]);
    return theirs[after - 1] + share * (theirs[after] - theirs[after - 1]);
  }

  /** Keep the reference with the dancer: a little faster or slower, or to its place where it is far away. */
  follow() {
    const { mine, reference } = this;
    const wanted = this.partnerOf(mine.currentTime);
    const isThere = wanted >= 0 && wanted <= (reference.duration || 0);
    const late = wanted - reference.currentTime;
    if (mine.paused || !isThere) {
      if (!reference.paused) reference.pause();
      if (isThere && Math.abs(late) > 0.04 && !reference.seeking) reference.currentTime = wanted;
    } else {
      if (Math.abs(late) > FAR_SECONDS && !reference.seeking) reference.currentTime = wanted;
      const pace = (this.partnerOf(mine.currentTime + 0.3) - wanted) / 0.3;
      reference.playbackRate = Math.min(4, Math.max(0.1, mine.playbackRate * (pace + late)));
      if (reference.paused) reference.play().catch(() => {});
    }
    const x = Math.min(UNITS[0], (UNITS[0] * mine.currentTime) / this.length);
    for (const name of ["x1", "x2"]) this.needle.setAttribute(name, x);
  }

  draw() {
    const { seconds, distances, worst } = this.found;
    const { length } = this;
    const most = Math.max(0.5, ...distances.map((each) => each ?? 0));
    const x = (value) => ((UNITS[0] * value) / length).toFixed(1);
    const y = (value) => (UNITS[1] * (1 - value / most)).toFixed(1);
    const known = seconds.map((at, i) => [at, distances[i]]).filter(([, value]) => value !== null);
    const points = known.map(([at, value]) => `${x(at)},${y(value)}`).join(" ");
    const line = (name, at) => shape("line", { class: name, x1: x(at), x2: x(at), y1: 0, y2: UNITS[1] });
    this.needle = line("needle", 0);
    byId("curve").setAttribute("viewBox", `0 0 ${UNITS.join(" ")}`);
    byId("curve").replaceChildren(
      shape("polygon", { class: "area", points: `${x(known[0][0])},${UNITS[1]} ${points} ${x(known.at(-1)[0])},${UNITS[1]}` }),
      shape("polyline", { class: "line", points }), ...worst.map((moment) => line("mark", moment.seconds)), this.needle,
    );
    byId("curve-scale").textContent = `How far apart, from 0 to ${most.toFixed(1)} torso lengths (shoulders to hips), over ${clock(length)}. ` +
      (worst.length ? "Dashed: where most. Choose one to see it slowly, again and again:" : "No moment stands out.");
  }

  seekTo(event) {
    const { left, width } = byId("curve").getBoundingClientRect();
    this.mine.currentTime = (this.length * (event.clientX - left)) / width;
  }

  /** Show a moment at half speed in a loop. */
  repeat(seconds) {
    this.player.setSpeed(0.5);
    this.player.setLoop(Math.max(0, seconds - 1), Math.min(seconds + 1, this.mine.duration || Infinity));
    this.mine.play();
    byId("pair").scrollIntoView({ block: "nearest" });
  }
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** What a link names: {other} or {catalog}; null if it is none of ours. */
function targetOf(link) {
  const [, kind, id] = link.trim().match(/(?:^|\/)(videos|catalog)\/([A-Za-z0-9_-]{22,24})(?:[?#].*)?$/) ?? [];
  if (!kind) return null;
  return kind === "videos" ? { other: id } : { catalog: id };
}

function summaryOf({ distance, is_unlike: isUnlike, mirrored, speed }) {
  const apart = `On the whole ${distance.toFixed(2)} torso lengths apart`;
  if (isUnlike) return `${apart}, as two different dances are: is it the right reference?`;
  const pace = Math.abs(speed - 1) < 0.05 ? "" : ` You dance ${speed.toFixed(2)} times as fast.`;
  return `${apart}.${pace}${mirrored ? " The reference is shown as in a mirror." : ""}`;
}

function wordsFor({ part, part_distance: distance, way }) {
  const where = way === "sideways" ? "beside the reference" : `${way} than the reference`;
  return sentence(`${part === "shoulders" ? part : `your ${part}`} ${where}, by ${distance.toFixed(1)}`).replace(/\.$/, "");
}

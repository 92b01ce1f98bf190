// Who dances in a video: a table of the people, boxes to point at them in the picture, and a form to name the dancer.
import { trackColor } from "./colors.js";
import { ask, byId, make, percent } from "./page.js";
import { boxOf } from "./skeleton.js";

const NAME_KEY = "choreai-reviewer";

export class WhoDances {
  constructor(url, video, { onNamed, onProblem }) {
    this.url = url;
    this.video = video;
    this.onNamed = onNamed;
    this.onProblem = onProblem;
    this.chosen = new Set();
    this.boxes = new Map(); // by track id, the buttons over the picture
    this.form = byId("name-dancers");
    this.form.elements.reviewer.value = localStorage.getItem(NAME_KEY) ?? "";
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.save([...this.chosen]); });
    byId("choose-again").addEventListener("click", () => { if (this.form.reportValidity()) this.save([]); });
    byId("point").addEventListener("click", () => this.point(byId("pointing").hidden));
  }

  /** Show who is in the video: `found` is its tag, `who` the answer of `/people`. */
  show(found, who) {
    this.chosen = new Set(who.named ?? []);
    this.boxes.forEach((box) => box.remove());
    this.boxes.clear();
    byId("who").hidden = who.people.length < 2;
    byId("who-state").textContent = stateOf(found, who);
    if (isWaiting(found)) this.preview();
    byId("choose-again").hidden = who.named === null;
    byId("people").replaceChildren(...who.people.map((person) => this.row(person)));
    this.update();
  }

  row(person) {
    const id = person.track_id;
    const box = make("input", { type: "checkbox", value: id, onchange: () => this.toggle(id) });
    const dot = make("i", { class: "dot" });
    dot.style.background = trackColor(id);
    const see = make("button", { type: "button", class: "small", text: "see", "aria-label": `See person ${id}`,
      onclick: () => { this.video.pause(); this.video.currentTime = person.clearest_seconds; this.point(true); } });
    const number = (text, kind = "number") => make("td", { class: kind, text });
    return make("tr", {}, make("td", {}, make("label", {}, box, make("span", {}, dot, `${id}`)), see),
      number(`${person.seconds.toFixed(1)} s`),
      number(person.height_share === null ? "–" : percent(person.height_share), "number wide"),
      number(`${person.movement.toFixed(1)}/s`, "number wide"),
      number(person.dancing_share ? percent(person.dancing_share) : "–"));
  }

  toggle(id) {
    if (!this.chosen.delete(id)) this.chosen.add(id);
    this.update();
  }

  update() {
    for (const input of byId("people").querySelectorAll("input")) input.checked = this.chosen.has(Number(input.value));
    this.boxes.forEach((box, id) => box.setAttribute("aria-pressed", String(this.chosen.has(id))));
    byId("these-dance").disabled = !this.chosen.size;
    byId("these-dance").textContent = this.chosen.size > 1 ? "These are the dancers" : "This is the dancer";
  }

  /** Show or hide the boxes to point at. */
  point(isOn) {
    if (isOn) this.video.pause();
    byId("pointing").hidden = !isOn;
    byId("point").setAttribute("aria-pressed", String(isOn));
  }

  /** Put the boxes around the people who are in the picture now. */
  place(people) {
    if (byId("pointing").hidden) return;
    const { clientWidth: width, clientHeight: height } = byId("stage");
    const scale = Math.min(width / this.video.videoWidth, height / this.video.videoHeight);
    const [x, y] = [(width - scale * this.video.videoWidth) / 2, (height - scale * this.video.videoHeight) / 2];
    const here = new Set();
    for (const { track_id: id, keypoints } of people) {
      const sides = boxOf(keypoints);
      if (!sides) continue;
      here.add(id);
      const [left, top, right, bottom] = sides.map((value, i) => (i % 2 ? y : x) + scale * value);
      const { style } = this.box(id);
      [style.left, style.top, style.width, style.height] = [left, top, right - left, bottom - top].map((value) => `${value}px`);
      style.zIndex = Math.round(1e5 - (right - left) * (bottom - top) / 100); // the smaller one is in front
    }
    this.boxes.forEach((box, id) => { if (!here.has(id)) { box.remove(); this.boxes.delete(id); } });
  }

  box(id) {
    if (!this.boxes.has(id)) {
      const box = make("button", { type: "button", "aria-label": `Person ${id}`, "aria-pressed": String(this.chosen.has(id)),
        onclick: () => this.toggle(id) }, make("span", { text: id }));
      box.style.borderColor = trackColor(id);
      this.boxes.set(id, box);
      byId("pointing").append(box);
    }
    return this.boxes.get(id);
  }

  /** Say what the tag will be: the server's model has a look at once. */
  async preview() {
    try {
      const { tag } = await ask(`${this.url}/named-tag`);
      if (tag?.style) byId("who-state").append(` It will be ${tag.style} (${percent(tag.score)}).`);
    } catch { /* the next run of choreai tag will tell */ }
  }

  async save(trackIds) {
    const reviewer = this.form.elements.reviewer.value;
    localStorage.setItem(NAME_KEY, reviewer);
    try {
      await ask(`${this.url}/dancers`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ track_ids: trackIds, reviewer }),
      });
      this.point(false);
      await this.onNamed();
    } catch (problem) {
      this.onProblem(problem);
    }
  }
}

const isWaiting = (found) => Boolean(found.dancers_at && found.dancers_at > found.tagged_at);

function stateOf(found, who) {
  const later = isWaiting(found) ? " The tag is from before; the next run of choreai tag makes it anew." : "";
  if (who.named) return `Named by ${found.dancers_by}.${later}`;
  if (found.dancers_by) return `${found.dancers_by} named somebody who is not found in these poses; choreai chose instead.`;
  return (who.uncertain ? "Several people: it is uncertain who dances." : "Chosen by choreai.") + later;
}

// Cards of the catalog selected and corrected at once, by mouse and by keys, and the last corrections taken back.
import { correct } from "./corrections.js";
import { ask, byId, make, showProblem } from "./page.js";
import { askWhoDances } from "./who.js";

const NAME_KEY = "choreai-reviewer";
const UNDO_KEY = "choreai-corrections"; // what takes the last corrections back, also after the page was loaded anew
const NUM_KEYS = 9;
const MAX_UNDO = 50;
const NOT_DANCE = "not dance"; // the note of a review; its style is "unknown", as none of the styles is

export class Selection {
  /** `changed` is called after every correction; `play` with the card to play. */
  constructor(grid, { changed, play }) {
    Object.assign(this, { grid, changed, play });
    this.chosen = new Set(); // keys of videos
    this.styles = [];
    this.corrections = JSON.parse(localStorage.getItem(UNDO_KEY) ?? "[]"); // what takes them back, the last one last
    this.form = byId("selection");
    this.form.elements.reviewer.value = localStorage.getItem(NAME_KEY) ?? "";
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.correct(this.form.elements.style.value); });
    grid.addEventListener("change", (event) => this.toggle(event.target.closest("li"), event.target.checked));
    byId("all").addEventListener("click", () => { this.cards().forEach((card) => this.chosen.add(card.dataset.key)); this.update(); });
    byId("none").addEventListener("click", () => { this.chosen.clear(); this.say(""); });
    byId("undo").addEventListener("click", () => this.undo());
    byId("not-dance").addEventListener("click", () => this.correct("unknown", NOT_DANCE));
    byId("wrong-person").addEventListener("click", () => this.nameDancers());
    byId("export").addEventListener("click", () => this.download());
    document.addEventListener("keydown", (event) => this.press(event));
  }

  cards() {
    return [...this.grid.children];
  }

  /** The card that has the focus, or holds it. */
  current() {
    return document.activeElement?.closest(".grid > li");
  }

  offer(styles) {
    this.styles = styles;
    byId("styles").replaceChildren(...[...styles, "unknown"].map((style) => make("option", { value: style })));
    byId("style-keys").replaceChildren(...styles.slice(0, NUM_KEYS).map((style, number) => make("button", { type: "button",
      onclick: () => this.correct(style) }, make("kbd", { text: number + 1 }), ` ${style}`)));
  }

  toggle(card, isChosen) {
    if (isChosen) this.chosen.add(card.dataset.key);
    else this.chosen.delete(card.dataset.key);
    this.update();
  }

  /** Show what is selected; after a correction the card that had the focus has it again. */
  update() {
    if (this.again) this.cards().find((card) => card.dataset.key === this.again)?.querySelector("a").focus();
    this.again = null;
    for (const card of this.cards()) {
      const isChosen = this.chosen.has(card.dataset.key);
      card.classList.toggle("chosen", isChosen);
      card.querySelector("input").checked = isChosen;
    }
    const count = this.chosen.size;
    const said = byId("selected").dataset.said ?? "";
    this.form.hidden = !count && !this.corrections.length && !said;
    byId("undo").hidden = !this.corrections.length;
    byId("selected").textContent = count ? `${count.toLocaleString()} selected` : said;
  }

  say(text) {
    byId("selected").dataset.said = text;
    this.update();
  }

  /** The keys of the selected videos, or without any that of the current one. */
  meant() {
    return this.chosen.size ? [...this.chosen] : [this.current()?.dataset.key].filter(Boolean);
  }

  /** The reviewer's name; empty, and asked for, as long as there is none. */
  reviewer() {
    const name = this.form.elements.reviewer.value.trim();
    if (name) localStorage.setItem(NAME_KEY, name);
    else {
      this.form.hidden = false;
      byId("selected").textContent = "Your name is stored with each correction:";
      this.form.elements.reviewer.focus();
    }
    byId("problem").hidden = true;
    return name;
  }

  /** Correct the selected videos, or without any the current one. */
  async correct(style, note = "") {
    const current = this.current()?.dataset.key;
    const keys = this.meant();
    if (!keys.length || !style.trim()) return;
    const reviewer = this.reviewer();
    if (!reviewer) return;
    try {
      const stored = await correct("/v1/corrections", { keys, style, reviewer, note });
      if (!stored) return;
      this.remember([...this.corrections, stored.undo]);
      this.chosen.clear();
      this.form.elements.style.value = "";
      this.say(`${stored.count === 1 ? "1 video is" : `${stored.count.toLocaleString()} videos are`} now ${note || stored.style}.`);
      this.again = current;
      this.changed();
    } catch (problem) {
      showProblem(byId("problem"), problem);
    }
  }

  remember(corrections) {
    this.corrections = corrections.slice(-MAX_UNDO);
    localStorage.setItem(UNDO_KEY, JSON.stringify(this.corrections));
  }

  /** Ask of the selected videos, or of the current one, who dances in it. */
  async nameDancers() {
    const current = this.current()?.dataset.key;
    const keys = new Set(this.meant());
    if (!keys.size) return;
    const reviewer = this.reviewer();
    if (!reviewer) return;
    const shown = this.cards().filter((card) => keys.has(card.dataset.key));
    try {
      const count = await askWhoDances(shown.map((card) => ({ key: card.dataset.key, name: card.dataset.name })), reviewer);
      if (count) this.chosen.clear();
      this.say(count ? `The dancers of ${count === 1 ? "1 video are" : `${count} videos are`} named; the next choreai tag is about them.` : "");
      this.again = current;
      if (count) this.changed();
      else this.update();
    } catch (problem) {
      showProblem(byId("problem"), problem);
    }
  }

  async undo() {
    const undo = this.corrections.at(-1);
    if (!undo) return;
    this.remember(this.corrections.slice(0, -1));
    try {
      const { count } = await ask("/v1/corrections/undo", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ undo }) });
      this.say(`The correction of ${count === 1 ? "1 video" : `${count.toLocaleString()} videos`} is taken back.`);
      this.changed();
    } catch (problem) {
      showProblem(byId("problem"), problem);
    }
    this.update();
  }

  async download() {
    const keys = this.chosen.size ? [...this.chosen] : this.cards().map((card) => card.dataset.key);
    const kind = this.form.elements.kind.value;
    const response = await fetch(`/v1/selection.${kind}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ keys }) });
    if (!response.ok) {
      showProblem(byId("problem"), new Error("the selection could not be exported; select fewer videos"));
      return;
    }
    const link = make("a", { href: URL.createObjectURL(await response.blob()), download: `selection.${kind}` });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), select, textarea, video, dialog")) return;
    const current = this.current();
    const number = Number(event.key);
    if (event.key === "j" || event.key === "k") this.move(current, event.key === "j" ? 1 : -1);
    else if (event.key === "u") this.undo();
    else if (event.key === "n") this.correct("unknown", NOT_DANCE);
    else if (event.key === "w") this.nameDancers();
    else if (current && event.key === "x") this.toggle(current, !this.chosen.has(current.dataset.key));
    else if (current && event.key === " " && event.target.matches("a")) this.play(current);
    else if (number >= 1 && number <= Math.min(NUM_KEYS, this.styles.length)) this.correct(this.styles[number - 1]);
    else return;
    event.preventDefault();
  }

  move(current, step) {
    const cards = this.cards();
    const next = cards[current ? cards.indexOf(current) + step : step > 0 ? 0 : cards.length - 1];
    next?.querySelector("a").focus();
    next?.scrollIntoView({ block: "nearest" });
  }
}

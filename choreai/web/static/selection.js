// Cards of the catalog selected and corrected at once, by mouse and by keys, and the last corrections taken back.
import { correct } from "./corrections.js";
import { ask, byId, make, showProblem } from "./page.js";

const NAME_KEY = "choreai-reviewer";
const NUM_KEYS = 9;

export class Selection {
  /** `changed` is called after every correction; `play` with the card to play. */
  constructor(grid, { changed, play }) {
    Object.assign(this, { grid, changed, play });
    this.chosen = new Set(); // keys of videos
    this.styles = [];
    this.corrections = []; // what takes them back, the last one last
    this.form = byId("selection");
    this.form.elements.reviewer.value = localStorage.getItem(NAME_KEY) ?? "";
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.correct(this.form.elements.style.value); });
    grid.addEventListener("change", (event) => this.toggle(event.target.closest("li"), event.target.checked));
    byId("all").addEventListener("click", () => { this.cards().forEach((card) => this.chosen.add(card.dataset.key)); this.update(); });
    byId("none").addEventListener("click", () => { this.chosen.clear(); this.say(""); });
    byId("undo").addEventListener("click", () => this.undo());
    byId("selection-csv").addEventListener("click", () => this.download());
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

  /** Correct the selected videos, or without any the current one. */
  async correct(style) {
    const current = this.current()?.dataset.key;
    const keys = this.chosen.size ? [...this.chosen] : [current].filter(Boolean);
    const reviewer = this.form.elements.reviewer.value.trim();
    if (!keys.length || !style.trim()) return;
    if (!reviewer) {
      this.form.hidden = false;
      byId("selected").textContent = "Your name is stored with each correction:";
      this.form.elements.reviewer.focus();
      return;
    }
    localStorage.setItem(NAME_KEY, reviewer);
    byId("problem").hidden = true;
    try {
      const stored = await correct("/v1/corrections", { keys, style, reviewer });
      if (!stored) return;
      this.corrections.push(stored.undo);
      this.chosen.clear();
      this.form.elements.style.value = "";
      this.say(`${stored.count === 1 ? "1 video is" : `${stored.count.toLocaleString()} videos are`} now ${stored.style}.`);
      this.again = current;
      this.changed();
    } catch (problem) {
      showProblem(byId("problem"), problem);
    }
  }

  async undo() {
    const undo = this.corrections.pop();
    if (!undo) return;
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
    const response = await fetch("/v1/selection.csv", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ keys }) });
    if (!response.ok) {
      showProblem(byId("problem"), new Error("the selection could not be exported; select fewer videos"));
      return;
    }
    const link = make("a", { href: URL.createObjectURL(await response.blob()), download: "selection.csv" });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), select, textarea, video")) return;
    const current = this.current();
    const number = Number(event.key);
    if (event.key === "j" || event.key === "k") this.move(current, event.key === "j" ? 1 : -1);
    else if (event.key === "u") this.undo();
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

// The list of takes: each can be replayed, kept as a file, shared, and tagged like any uploaded video. They are in memory:
// the page asks before it is left with one that has not been kept.
import { Problem, ask, byId, clock, make, percent, showProblem } from "./page.js";
import { download, fileName, share } from "./share.js";
import { verdictOf } from "./tag.js";
import { send } from "./upload.js";

const MOST = 6;
const WAIT_MS = 500;

export class Takes {
  /** `replay` is called with a film. */
  constructor(replay) {
    this.replay = replay;
    this.count = 0;
    this.unkept = new Set(); // items of the list
    addEventListener("beforeunload", (event) => { if (this.unkept.size) event.preventDefault(); });
  }

  add(take) {
    this.count += 1;
    const name = `Take ${this.count}`;
    const when = new Date().toTimeString().slice(0, 5).replace(":", ".");
    const fileOf = (film) => new File([film], fileName(`${name}, ${when}`, film.type), { type: film.type });
    const shown = take.drawn ?? take.plain;
    const answer = make("span", { class: "small", role: "status" });
    const button = (text, onclick) => make("button", { type: "button", class: "slim", text, "aria-label": `${text}: ${name}`, onclick });
    const kept = (work) => () => { this.unkept.delete(item); work(fileOf(shown)); };
    const tag = button("Tag this take", () => this.tag(fileOf(take.plain), item, tag, answer));
    const item = make("li", {}, make("strong", { text: name }), make("span", { class: "quiet", text: clock(take.seconds) }),
      button("Replay", () => this.replay(shown)), tag, button("Download", kept(download)),
      ...(navigator.canShare?.({ files: [fileOf(shown)] }) ? [button("Share", kept(share))] : []),
      button("Delete", () => this.remove(item)), answer);
    byId("takes").prepend(item);
    this.unkept.add(item);
    for (const old of [...byId("takes").children].slice(MOST)) this.remove(old);
    this.say(`${name} is recorded. It stays in this page until you download it or have it tagged; the last ${MOST} are kept.`);
    this.replay(shown);
  }

  remove(item) {
    this.unkept.delete(item);
    item.remove();
  }

  say(text) {
    byId("takes-state").textContent = text;
  }

  /** Have the take tagged as it was filmed, without a skeleton, and say the answer beside it. */
  async tag(file, item, button, answer) {
    button.disabled = true;
    byId("problem").hidden = true;
    try {
      const { url, page } = await send(file, (share) => { answer.textContent = `Sending it, ${percent(share)}`; });
      this.unkept.delete(item);
      const { tag } = await this.answerOf(url, (progress) => { answer.textContent = `Processing, ${percent(progress)}`; });
      const verdict = verdictOf(tag);
      const words = verdict.isUnsure ? verdict.text : `${verdict.text}, ${percent(tag.score)}`;
      answer.replaceChildren(make("b", { text: words }), " ", make("a", { href: page, target: "_blank", text: "The result, and a reference beside it" }));
    } catch (problem) {
      button.disabled = false;
      answer.textContent = "";
      showProblem(byId("problem"), problem);
    }
  }

  async answerOf(url, onProgress) {
    while (true) {
      const { state, detail, progress, result } = await ask(url);
      if (state === "failed") throw new Problem({ detail });
      if (result) return result;
      onProgress(progress);
      await new Promise((resolve) => { setTimeout(resolve, WAIT_MS); });
    }
  }
}

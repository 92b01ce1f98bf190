// The list of takes: each can be replayed, kept as a file, shared, and tagged like any uploaded video.
import { byId, clock, make, percent, showProblem } from "./page.js";
import { download, fileName, share } from "./share.js";
import { send } from "./upload.js";

const MOST = 6; // they are in memory
const SENT = "Sending it";

export class Takes {
  /** `replay` is called with a take. */
  constructor(replay) {
    this.replay = replay;
    this.count = 0;
  }

  add(take) {
    this.count += 1;
    const name = `Take ${this.count}`;
    const shown = take.drawn ?? take.plain;
    const when = new Date().toTimeString().slice(0, 5).replace(":", ".");
    const fileOf = (film) => new File([film], fileName(`${name}, ${when}`, film.type), { type: film.type });
    const file = fileOf(shown);
    const button = (text, onclick) => make("button", { type: "button", class: "slim", text, "aria-label": `${text}: ${name}`, onclick });
    const tag = button("Tag this take", () => this.tag(fileOf(take.plain), tag));
    const item = make("li", {}, make("strong", { text: name }), make("span", { class: "quiet", text: clock(take.seconds) }),
      button("Replay", () => this.replay(shown)), tag, button("Download", () => download(file)),
      ...(navigator.canShare?.({ files: [file] }) ? [button("Share", () => share(file))] : []),
      button("Delete", () => item.remove()));
    byId("takes").prepend(item);
    for (const old of [...byId("takes").children].slice(MOST)) old.remove();
    this.say(`${name} is recorded. It stays in this browser until you download it or have it tagged; the last ${MOST} are kept.`);
    this.replay(shown);
  }

  say(text) {
    byId("takes-state").textContent = text;
  }

  /** Send the take as it was filmed, without a skeleton, and go to its result. */
  async tag(file, button) {
    button.disabled = true;
    byId("problem").hidden = true;
    this.say(`${SENT}.`);
    try {
      const { page } = await send(file, (share) => this.say(`${SENT}, ${percent(share)}`));
      location.assign(page);
    } catch (problem) {
      button.disabled = false;
      this.say("");
      showProblem(byId("problem"), problem);
    }
  }
}

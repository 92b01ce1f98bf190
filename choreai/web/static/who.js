// Asks of one video after the other who dances in it, with a picture of each of its people, and stores the answers.
import { trackColor } from "./colors.js";
import { ask, byId, make, percent } from "./page.js";

/** Ask about the `videos`, each with `key` and `name`, until all are answered or the dialog is closed; return how many were. */
export async function askWhoDances(videos, reviewer) {
  let answered = 0;
  for (const [number, video] of videos.entries()) {
    const chosen = await question(video, videos.length > 1 ? `${number + 1} of ${videos.length}` : "");
    if (chosen === null) break;
    if (chosen === undefined) continue; // nothing to choose between
    await ask(`/v1/catalog/${video.key}/dancers`, { method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ track_ids: chosen, reviewer }) });
    answered += 1;
  }
  return answered;
}

/** Return the ids of those who dance; null if the dialog was closed, undefined where a video was left out. */
async function question({ key, name }, which) {
  const dialog = byId("who-dances");
  const { people, named } = await ask(`/v1/catalog/${key}/people`);
  const chosen = new Set(named ?? []);
  const say = make("p", { class: "quiet small", role: "status",
    text: people.length > 1 ? "Choose one, or several who dance together; one person may be here more than once." : "Nobody else was found in this video." });
  const store = make("button", { type: "submit", class: "main", value: "store", text: "This is the dancer", disabled: !chosen.size });
  const toggle = (button, id) => {
    if (!chosen.delete(id)) chosen.add(id);
    button.setAttribute("aria-pressed", String(chosen.has(id)));
    store.disabled = !chosen.size;
    store.textContent = chosen.size > 1 ? "These are the dancers" : "This is the dancer";
  };
  const choices = people.map((person) => choice(key, person, chosen.has(person.track_id), toggle));
  const buttons = [store, make("button", { type: "submit", value: "skip", text: "Leave it out" }), make("button", { type: "submit", value: "close", text: "Close" })];
  dialog.replaceChildren(make("form", { method: "dialog", class: "column" },
    make("h2", { text: "Who dances?" }), make("p", {}, make("strong", { text: name }), ` ${which}`),
    make("div", { class: "portraits" }, ...choices), say, make("div", { class: "row" }, ...buttons)));
  dialog.returnValue = "";
  dialog.showModal();
  choices[0]?.focus();
  await new Promise((done) => { dialog.addEventListener("close", done, { once: true }); });
  if (dialog.returnValue === "store") return [...chosen];
  return dialog.returnValue === "skip" ? undefined : null;
}

function choice(key, person, isChosen, toggle) {
  const id = person.track_id;
  const picture = make("img", { src: `/v1/catalog/${key}/people/${id}.jpg`, alt: "", width: 96, height: 120, onerror: (event) => { event.target.style.visibility = "hidden"; } });
  const dot = make("i", { class: "dot" });
  dot.style.background = trackColor(id);
  const dances = person.dancing_share ? `, dances ${percent(person.dancing_share)}` : "";
  const button = make("button", { type: "button", "aria-pressed": String(isChosen), onclick: () => toggle(button, id) }, picture,
    make("span", { class: "small" }, dot, ` person ${id}`), make("span", { class: "quiet small", text: `${person.seconds.toFixed(0)} s${dances}` }));
  return button;
}

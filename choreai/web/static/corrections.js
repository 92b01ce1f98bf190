// Sends corrections of styles; of a style that nobody knows, asks whether it is meant.
import { ask } from "./page.js";

/** Return what was stored, null if a new style was not meant after all. Throws a Problem. */
export async function correct(url, correction) {
  try {
    return await ask(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(correction) });
  } catch (problem) {
    if (problem.status !== 409) throw problem;
    const question = problem.message.split("; send ")[0];
    if (!window.confirm(`${question}\n\nIs “${correction.style.trim()}” a new style?`)) return null;
    return correct(url, { ...correction, is_new_style: true });
  }
}

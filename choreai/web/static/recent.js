// What this browser has uploaded of late: results have no list on the server, where knowing an id grants access.
const KEY = "choreai-recent";
const MOST = 12;
const KEPT_MS = 24 * 3600 * 1000;

export function recent() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]").filter((each) => Date.now() - each.at < KEPT_MS);
  } catch {
    return [];
  }
}

export function remember(id, name) {
  const others = recent().filter((each) => each.id !== id);
  localStorage.setItem(KEY, JSON.stringify([{ id, name, at: Date.now() }, ...others].slice(0, MOST)));
}

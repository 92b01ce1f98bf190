// Helpers of every page: find and create elements, make requests, and show their errors.

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** A problem document from the server, or a substitute for one. */
export class Problem extends Error {
  constructor({ title, status, detail }) {
    super(detail || title);
    this.status = status;
    this.title = title;
  }
}

export async function ask(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch {
    throw new Problem({ title: "No connection", status: 0, detail: "The server does not respond. Is it still running?" });
  }
  if (response.status === 401 && location.pathname !== "/login") signIn();
  if (!response.ok) throw new Problem(await problemOf(response));
  return response.status === 204 ? null : response.json();
}

export function signIn() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

async function problemOf(response) {
  try {
    return await response.json();
  } catch {
    return { title: response.statusText, status: response.status, detail: "The server gave no reason." };
  }
}

export function showProblem(element, problem) {
  const [first, ...where] = problem.message.split("\n"); // a wrong expression comes with a mark at the mistake
  element.replaceChildren(make("strong", { text: "This did not work. " }), sentence(first),
    ...(where.length ? [make("pre", { text: where.join("\n") })] : []));
  element.hidden = false;
}

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
export const percent = (share) => (share > 0.99 && share < 1 ? "over 99 %" : `${Math.round(100 * share)} %`);

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

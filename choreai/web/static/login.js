// Exchanges the server's token for a session cookie, then returns to the page that asked for it.
import { ask, byId, showProblem } from "./page.js";

/** The address that `next` leads to, if it is one of this server: only the browser's own parser knows ("/\t/host"). */
function ownAddress(next) {
  try {
    const address = new URL(next, location.origin);
    return address.origin === location.origin ? address.href : "/";
  } catch {
    return "/";
  }
}

const next = new URLSearchParams(location.search).get("next");

// A link from elsewhere leads here even with the cookie, which the browser keeps to itself on such a first request.
if (next && (await fetch("/v1/openapi.json")).ok) location.replace(ownAddress(next));

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await ask("/v1/session", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token: byId("token").value }),
    });
    location.assign(ownAddress(next ?? "/"));
  } catch (problem) {
    showProblem(byId("problem"), problem);
  }
});

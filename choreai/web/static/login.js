// Exchanges the server's token for a session cookie, then returns to the page that asked for it.
import { ask, byId, showProblem } from "./page.js";

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await ask("/v1/session", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token: byId("token").value }),
    });
    const next = new URLSearchParams(location.search).get("next") ?? "/";
    location.assign(/^\/(?![\/\\])/.test(next) ? next : "/");
  } catch (problem) {
    showProblem(byId("problem"), problem);
  }
});

// Lists the API's routes from its OpenAPI document.
import { ask, byId, make } from "./page.js";

const document_ = await ask("/v1/openapi.json");
byId("about").append(...withCode(document_.info.description));
byId("paths").replaceChildren(...Object.entries(document_.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, { description, parameters = [] }]) => make("section", { class: "card" },
    make("h2", {}, make("code", { text: `${method.toUpperCase()} ${path}` })),
    make("p", {}, ...withCode(description ?? "")),
    ...parameters.filter((p) => p.in === "query").map((p) => make("p", { class: "small quiet" },
      make("code", { text: p.name }), ...withCode(p.description ? `: ${p.description}` : "")))))));

/** Split a text so that its `quoted` parts become code elements. */
function withCode(text) {
  return text.split("`").map((part, i) => (i % 2 ? make("code", { text: part }) : part));
}

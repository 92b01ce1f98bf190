// The filters of the catalog: values with counts, and histograms whose bars are buttons.
import { styleColor } from "./colors.js";
import { make } from "./page.js";

export const FILTERS = ["style", "score", "tempo", "duration", "reviewed", "day"];
const TITLES = { style: "Style", score: "Score", tempo: "Tempo, beats per minute", duration: "Length, seconds", reviewed: "Corrected", day: "Tagged on" };

/** Fill `element`; `choose(name, values)` is called with all values of a filter when one of them is clicked. */
export function showFacets(element, facets, view, choose) {
  const focused = document.activeElement?.dataset?.value;
  element.replaceChildren(...FILTERS.map((name) => group(name, facets.bins[name] ? histogram : list, facets, view, choose)));
  if (focused) element.querySelector(`[data-value="${CSS.escape(focused)}"]`)?.focus();
}

function group(name, draw, facets, view, choose) {
  const chosen = new Set(view.getAll(name));
  const toggle = (value) => choose(name, chosen.has(value) ? [...chosen].filter((other) => other !== value) : [...chosen, value]);
  return make("fieldset", {}, make("legend", { text: TITLES[name] }), draw(name, facets, chosen, toggle));
}

function list(name, facets, chosen, toggle) {
  const missing = [...chosen].filter((value) => !facets[name].some((each) => each.value === value));
  const entries = [...facets[name], ...missing.map((value) => ({ value, count: 0 }))];
  return make("ul", { class: "values" }, ...entries.map(({ value, count }) => {
    const box = make("input", { type: "checkbox", checked: chosen.has(value), "data-value": `${name} ${value}`, onchange: () => toggle(value) });
    const dot = make("i", { class: "dot" });
    dot.style.background = styleColor(value);
    return make("li", {}, make("label", {}, box, ...(name === "style" ? [dot] : []), make("span", { text: value }),
      make("span", { class: "quiet", text: count.toLocaleString() })));
  }));
}

function histogram(name, facets, chosen, toggle) {
  const bins = facets.bins[name];
  const most = Math.max(1, ...bins.map((bin) => bin.count));
  const bars = bins.map(({ value, to, count }) => {
    const range = to === null ? `from ${value}` : `${value} to ${to}`;
    const bar = make("i");
    bar.style.height = `${count ? Math.max(4, (100 * count) / most) : 0}%`;
    return make("button", { type: "button", "aria-pressed": String(chosen.has(value)), "aria-label": `${TITLES[name]} ${range}: ${count} videos`,
      title: `${range}: ${count.toLocaleString()} videos`, "data-value": `${name} ${value}`, onclick: () => toggle(value) }, bar);
  });
  return make("div", { class: "histogram" }, make("div", { class: "bars" }, ...bars),
    make("div", { class: "ends small quiet" }, ...bins.map(({ value }, number) => make("span", { text: bins.length > 8 && number % 2 ? "" : Number(value) }))));
}

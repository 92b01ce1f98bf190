// The catalog as cards. The filters become one search expression and are kept in the page's URL.
import { styleColor } from "./colors.js";
import { ask, byId, make, percent, showProblem } from "./page.js";

const PAGE = 48;
const form = byId("filters");
let offset = 0;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = [...new FormData(form)].filter(([, value]) => value);
  history.pushState(null, "", `/catalog?${new URLSearchParams(fields)}`);
  show();
});
byId("more").addEventListener("click", () => load(offset));
window.addEventListener("popstate", show);
show();

function show() {
  const given = new URLSearchParams(location.search);
  for (const element of form.elements) {
    if (!element.name) continue;
    const value = given.get(element.name) ?? "";
    if (element.name === "style" && value && ![...element.options].some((option) => option.value === value)) {
      element.append(make("option", { value, text: value }));
    }
    element.value = value;
  }
  byId("grid").replaceChildren();
  load(0);
}

/** Combine the filters into one expression of `choreai search`. */
function expression() {
  const fields = Object.fromEntries(new FormData(form));
  const parts = [];
  if (fields.style) parts.push(fields.style === "unknown" ? "unknown" : `style = ${quoted(fields.style)}`);
  if (fields.score) parts.push(`score >= ${fields.score}`);
  if (fields.slow) parts.push(`tempo >= ${fields.slow}`);
  if (fields.fast) parts.push(`tempo <= ${fields.fast}`);
  if (fields.since) parts.push(`tagged_at >= ${fields.since}`);
  if (fields.q.trim()) parts.push(`(${fields.q.trim()})`);
  return parts.join(" and ");
}

const quoted = (text) => (text.includes('"') ? `'${text}'` : `"${text}"`);

async function load(from) {
  byId("problem").hidden = true;
  try {
    const page = await ask(`/v1/search?${new URLSearchParams({ q: expression(), offset: from, limit: PAGE })}`);
    offer(page.styles);
    byId("grid").append(...page.videos.map((video) => make("li", {}, tile(video, page.styles))));
    offset = from + page.videos.length;
    byId("count").textContent = page.total === 1 ? "1 video" : `${page.total.toLocaleString()} videos`;
    byId("more").hidden = offset >= page.total;
  } catch (problem) {
    byId("count").textContent = "";
    byId("more").hidden = true;
    showProblem(byId("problem"), problem);
  }
}

function offer(styles) {
  const select = form.elements.style;
  const chosen = select.value;
  const names = [...new Set([...styles, "unknown", ...(chosen ? [chosen] : [])])];
  select.replaceChildren(make("option", { value: "", text: "any" }),
    ...names.map((style) => make("option", { value: style, text: style })));
  select.value = chosen;
}

function tile(video, styles) {
  const dot = make("i", { class: "dot" });
  dot.style.background = styleColor(video.style, styles);
  const facts = [video.score === null ? null : percent(video.score), video.tempo === null ? null : `${video.tempo.toFixed(0)} bpm`,
    video.corrected_by ? `corrected by ${video.corrected_by}` : null].filter(Boolean);
  const picture = make("img", { src: `/v1/catalog/${video.key}/still.jpg`, alt: "", loading: "lazy", width: 480, height: 360,
    onerror: (event) => { event.target.style.visibility = "hidden"; } });
  return make("a", { class: "tile", href: `/catalog/${video.key}` }, picture, make("div", { class: "text" },
    make("span", {}, dot, make("strong", { text: video.style ?? "no tag" })),
    make("b", { class: "small", text: video.video_id }),
    make("span", { class: "quiet small", text: facts.join(", ") || video.reason || "" })));
}

// The catalog as cards. What is searched, filtered and sorted by is kept in the page's URL, which the API takes as it is.
import { styleColor } from "./colors.js";
import { FILTERS, showFacets } from "./facets.js";
import { ask, byId, clock, make, percent, showProblem } from "./page.js";
import { Selection } from "./selection.js";

const PAGE = 48;
const BEST_FIRST = "-score";
const ORDERS = [
  [BEST_FIRST, "best score"], ["score", "lowest score"], ["-tagged_at", "newest tag"], ["tagged_at", "oldest tag"],
  ["-corrected_at", "last corrected"], ["video_id", "name"], ["style", "style"], ["-tempo", "fastest tempo"], ["tempo", "slowest tempo"],
  ["-duration", "longest"], ["duration", "shortest"],
];
const form = byId("find");
const selection = new Selection(byId("grid"), { changed: refresh, play });
let shown = 0;
let asked = 0; // the number of the last request: an older one's answer comes too late to be shown

byId("facets").open = window.matchMedia("(min-width: 58rem)").matches;
for (const [value, text] of ORDERS) form.elements.sort.append(make("option", { value, text }));
form.addEventListener("submit", (event) => { event.preventDefault(); go((view) => view.delete("like")); });
form.elements.sort.addEventListener("change", () => go((view) => view.delete("like")));
byId("more").addEventListener("click", () => load(shown));
byId("clear").addEventListener("click", () => go((view) => FILTERS.forEach((name) => view.delete(name))));
byId("link").addEventListener("click", async (event) => {
  await navigator.clipboard.writeText(location.href);
  event.target.textContent = "Copied";
});
window.addEventListener("popstate", show);
show();

/** Go to the view of the form and of what `change` does to the view's parameters. */
function go(change = () => {}) {
  const view = new URLSearchParams(location.search);
  for (const name of ["q", "sort"]) {
    const value = form.elements[name].value.trim();
    if (value && value !== BEST_FIRST) view.set(name, value);
    else view.delete(name);
  }
  change(view);
  history.pushState(null, "", view.size ? `/catalog?${view}` : "/catalog");
  show();
}

function show() {
  const view = new URLSearchParams(location.search);
  const sort = view.get("sort") ?? BEST_FIRST;
  if (![...form.elements.sort.options].some((option) => option.value === sort)) offerOrder(sort);
  [form.elements.q.value, form.elements.sort.value] = [view.get("q") ?? "", sort];
  byId("link").textContent = "Copy the link to this view";
  byId("clear").hidden = !FILTERS.some((name) => view.has(name));
  const like = view.get("like");
  for (const id of ["facets", "exports"]) byId(id).hidden = Boolean(like);
  byId("browse").classList.toggle("alone", Boolean(like));
  if (like) {
    loadLike(like);
    return;
  }
  load(0);
  loadFacets();
}

/** Show the videos that move like one. */
async function loadLike(key) {
  const number = ++asked;
  byId("problem").hidden = true;
  try {
    const like = await ask(`/v1/catalog/${encodeURIComponent(key)}/similar?count=48`);
    if (number !== asked) return;
    byId("meaning").hidden = false;
    byId("meaning").replaceChildren("Videos that move like ", make("a", { href: `/catalog/${key}`, text: like.video_id }),
      like.why_none ? `. ${like.why_none} ` : ", the most alike first. ", make("a", { href: "/catalog", text: "Back to all videos" }));
    byId("grid").replaceChildren(...like.videos.map((video) => tile(video)));
    selection.update();
    performance.mark("cards drawn");
    shown = like.videos.length;
    byId("count").textContent = `${shown} of ${like.num_videos.toLocaleString()} videos`;
    byId("more").hidden = true;
  } catch (problem) {
    if (number === asked) showProblem(byId("problem"), problem);
  }
}

/** Stop waiting for pictures: a browser asks a server for six things at once, and another search waits behind them. */
function stopPictures() {
  for (const picture of byId("grid").querySelectorAll("img")) {
    if (!picture.complete) [picture.dataset.src, picture.src] = [picture.getAttribute("src"), "data:,"];
  }
}

function resumePictures() {
  for (const picture of byId("grid").querySelectorAll("img[data-src]")) {
    picture.style.visibility = "";
    [picture.src] = [picture.dataset.src];
    delete picture.dataset.src;
  }
}

/** Ask for videos from a place on; the videos shown stay if the search is not understood. */
async function load(from, limit = PAGE) {
  const number = ++asked;
  byId("problem").hidden = true;
  stopPictures();
  try {
    const page = await ask(`/v1/search?${parameters({ offset: from, limit })}`);
    if (number !== asked) return;
    tell(page);
    selection.offer(page.styles);
    const tiles = page.videos.map((video) => tile(video));
    if (from === 0) byId("grid").replaceChildren(...tiles);
    else byId("grid").append(...tiles);
    if (from) resumePictures();
    selection.update();
    performance.mark("cards drawn");
    shown = from + tiles.length;
    byId("count").textContent = page.total === 1 ? "1 video" : `${page.total.toLocaleString()} videos`;
    byId("more").hidden = shown >= page.total;
    for (const link of byId("exports").querySelectorAll("a[data-kind]")) link.href = `/v1/search.${link.dataset.kind}?${parameters()}`;
  } catch (problem) {
    if (number !== asked) return;
    resumePictures();
    showProblem(byId("problem"), problem);
    if (shown) byId("problem").append(" Below is still what was found before.");
    else if (problem.status === 400) loadWithout(number);
  }
}

/** Show the videos without the words or the expression that are not understood, where none are shown yet. */
async function loadWithout(number) {
  const view = parameters({ offset: 0, limit: PAGE });
  view.delete("q");
  const page = await ask(`/v1/search?${view}`).catch(() => null);
  if (!page || number !== asked) return;
  selection.offer(page.styles);
  byId("grid").replaceChildren(...page.videos.map((video) => tile(video)));
  byId("count").textContent = `${page.total.toLocaleString()} videos without it`;
  loadFacets(view);
}

async function loadFacets(view = parameters()) {
  const number = asked;
  try {
    const facets = await ask(`/v1/facets?${view}`);
    if (number !== asked) return;
    showFacets(byId("facet-lists"), facets, new URLSearchParams(location.search), (name, values) => go((view) => {
      view.delete(name);
      for (const value of values) view.append(name, value);
    }));
    performance.mark("facets drawn");
    for (const name of facets.names) for (const sort of [name, `-${name}`]) offerOrder(sort);
  } catch {
    // The search has told what is wrong.
  }
}

/** Load everything shown anew, after a correction. */
function refresh() {
  const like = new URLSearchParams(location.search).get("like");
  if (like) {
    loadLike(like);
    return;
  }
  load(0, Math.min(200, Math.max(shown, PAGE)));
  loadFacets();
}

function parameters(more = {}) {
  const view = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(more)) view.set(name, value);
  return view;
}

function offerOrder(sort) {
  const { options } = form.elements.sort;
  if ([...options].some((option) => option.value === sort)) return;
  const text = `${sort.replace("-", "").replaceAll("_", " ")}, ${sort.startsWith("-") ? "greatest" : "least"} first`;
  form.elements.sort.append(make("option", { value: sort, text }));
}

/** Say what free words became, and which were left out. */
function tell({ expression, not_understood: left }) {
  const meaning = byId("meaning");
  meaning.hidden = !expression && !left.length;
  meaning.replaceChildren(...(expression ? ["Searched for ", make("code", { text: expression }), ". "] : []),
    ...(left.length ? [make("strong", { text: `Not understood and left out: ${left.join(", ")}.` })] : []));
}

function tile(video) {
  const dot = make("i", { class: "dot" });
  dot.style.background = styleColor(video.style);
  const isLike = video.similarity !== undefined;
  const facts = [isLike ? `${percent(Math.max(0, video.similarity))} alike, most at ${clock(video.start_seconds)}` : null, isLike || video.score === null ? null : percent(video.score), isLike || video.tempo === null ? null : `${video.tempo.toFixed(0)} bpm`,
    video.duration === null ? null : `${video.duration.toFixed(0)} s`,
    video.corrected_by ? `corrected by ${video.corrected_by}, ${day(video.corrected_at)}` : null].filter(Boolean);
  const picture = make("img", { src: `/v1/catalog/${video.key}/still.jpg`, alt: "", loading: "lazy", width: 480, height: 360,
    onerror: (event) => { event.target.style.visibility = "hidden"; } });
  const moment = isLike ? `#t=${video.start_seconds.toFixed(1)}` : "";
  return make("li", { class: "tile", "data-key": video.key, "data-name": video.video_id, "data-moment": moment },
    make("a", { href: `/catalog/${video.key}${moment}` }, make("span", { class: "picture" }, picture), make("span", { class: "text" },
      make("span", {}, dot, make("strong", { text: video.style ?? "no tag" })),
      make("b", { class: "small", text: video.video_id }),
      make("span", { class: "quiet small", text: facts.join(", ") || video.reason || "" }))),
    make("label", { class: "pick" }, make("input", { type: "checkbox", "aria-label": `Select ${video.video_id}` })),
    make("button", { type: "button", class: "like", text: "≈", title: "More like this", "aria-label": `More like ${video.video_id}`,
      onclick: () => go((view) => { for (const name of [...view.keys()]) view.delete(name); view.set("like", video.key); }) }),
    make("button", { type: "button", class: "play", text: "▶", "aria-label": `Play ${video.video_id}`, onclick: (event) => play(event.target.closest("li")) }));
}

const day = (moment) => new Date(moment).toLocaleDateString([], { dateStyle: "medium" });

/** Play a card's video in its place, with its sound; again: stop it. One plays at a time. */
function play(card) {
  const [playing] = byId("grid").getElementsByTagName("video");
  const isSame = playing && card.contains(playing);
  playing?.remove();
  if (isSame) return;
  const video = make("video", { src: `/v1/catalog/${card.dataset.key}/media${card.dataset.moment}`, controls: true, playsinline: true, "aria-label": card.dataset.name,
    onerror: () => { video.replaceWith(make("span", { class: "gone small", text: "This browser cannot play it, or the file is gone." })); } });
  card.querySelector(".gone")?.remove();
  card.append(video);
  video.play().catch(() => {});
}

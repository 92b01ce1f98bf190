// Shows a tag: style, scores, reasons, gauges. Shared by the live page, results and catalog.
import { styleColor } from "./colors.js";
import { make, percent, sentence } from "./page.js";

export function verdictOf(tag) {
  if (!tag) return { text: "–", isUnsure: true, detail: "No one was in view for long enough." };
  if (tag.style === null) return { text: "no style model", isUnsure: true, detail: "Movement is measured nevertheless." };
  if (tag.corrected_by) {
    const detail = `Corrected by ${tag.corrected_by}; the model predicted ${tag.best_style} (${percent(tag.score)}).`;
    return { text: tag.style, isUnsure: tag.unknown, detail };
  }
  if (tag.unknown) {
    return { text: "unknown", isUnsure: true, detail: sentence(`closest to ${tag.best_style}, but ${tag.reason}`) };
  }
  const remark = tag.reason ? ` ${sentence(tag.reason)}` : "";
  return { text: tag.style, isUnsure: false, detail: `Score ${percent(tag.score)}.${remark}` };
}

export function scoreList(list, distribution) {
  const best = [...distribution].sort((a, b) => b.score - a.score).slice(0, 6);
  list.replaceChildren(...best.map(({ style, score }) => {
    const bar = make("i");
    bar.style.width = `${100 * score}%`;
    bar.style.background = styleColor(style);
    return make("li", {}, make("span", { class: "name", text: style }),
      make("span", { class: "meter" }, bar), make("span", { class: "number", text: `${Math.round(100 * score)} %` }));
  }));
}

export function reasonList(list, tag) {
  const sentences = tag?.reasons?.map((reason) => reason.sentence) ?? [];
  const none = tag?.style === null ? "Reasons require a style model." : "Nothing stands out.";
  list.replaceChildren(...(sentences.length
    ? sentences.map((text) => make("li", { text: sentence(text) }))
    : [make("li", { class: "quiet", text: none })]));
}

// The ends of the scales are roughly the extremes of real dance clips.
const GAUGES = [
  { name: "Tempo", unit: "beats per minute", low: 80, high: 160, digits: 0,
    value: (k) => (k.beat_strength >= 0.15 ? k.beats_per_minute : null), none: "no clear beat" },
  { name: "Amplitude", unit: "torso lengths", low: 0, high: 4, digits: 1,
    value: (k) => mean(k.left_hand_range, k.right_hand_range), none: "hands not seen" },
  { name: "Fluidity", unit: "of 10", low: 0, high: 10, digits: 1,
    value: (k) => (k.hands_spectral_arc_length === null ? null : clamp(12 + 2 * k.hands_spectral_arc_length, 0, 10)),
    none: "hands are still" },
];
const mean = (a, b) => (a === null || b === null ? a ?? b : (a + b) / 2);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export function gaugeList(list, kinematics) {
  list.replaceChildren(...GAUGES.map((gauge) => {
    const value = kinematics ? gauge.value(kinematics) ?? null : null;
    const bar = make("i");
    if (value !== null) bar.style.width = `${100 * clamp((value - gauge.low) / (gauge.high - gauge.low), 0, 1)}%`;
    return make("div", {}, make("dt", { text: gauge.name }), make("dd", {},
      make("div", { class: "value", text: value === null ? "–" : value.toFixed(gauge.digits) }),
      make("div", { class: "meter" }, bar),
      make("div", { class: "unit", text: value === null && kinematics ? gauge.none : gauge.unit })));
  }));
}

export function legend(list, styles) {
  list.replaceChildren(...styles.map((style) => {
    const mark = make("i");
    mark.style.background = styleColor(style);
    return make("li", {}, mark, style);
  }));
}

/** Fill `element` with the cards of a tag: style, what is odd about the video as input, why, movement. */
export function showTag(element, tag, whyNot, inputQuality = []) {
  const verdict = tag ? verdictOf(tag) : { text: "no tag", isUnsure: true, detail: sentence(whyNot ?? "no movement to classify") };
  const [scores, why, gauges] = [make("ul", { class: "scores" }), make("ul", { class: "why" }), make("dl", { class: "gauges" })];
  scoreList(scores, tag?.distribution ?? []);
  reasonList(why, tag);
  gaugeList(gauges, tag?.kinematics ?? null);
  const section = (title, ...content) => make("section", { class: "card" }, make("h2", { text: title }), ...content);
  const style = section("Style", make("div", { class: verdict.isUnsure ? "verdict unsure" : "verdict", text: verdict.text }),
    make("p", { class: "quiet small", text: verdict.detail }), scores);
  style.classList.add("first");
  element.replaceChildren(
    style,
    ...(inputQuality.length ? [section("Input", ...inputQuality.map((text) => make("p", { class: "small", text: sentence(text) })))] : []),
    section("Why", why),
    section("Movement", gauges),
  );
}

// Colours of styles and tracks. A style's colour follows from its name, by the table that figures and videos use too.
import { PALETTE, PLACES, UNKNOWN_COLOR } from "./palette.js"; // made from choreai/visualize/style_colors.py

export function styleColor(style) {
  const key = spellingKey(style ?? "unknown");
  if (key === "unknown") return UNKNOWN_COLOR;
  return PALETTE[PLACES[key] ?? hash(key) % PALETTE.length];
}

const spellingKey = (name) => name.normalize("NFKC").toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ").normalize("NFKC").replace(/[\s\-_\u2010-\u2015\u2212]+/gu, " ").trim();

/** FNV-1a of 32 bits. */
function hash(key) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(key)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

/** Black or white, whichever reads better on `color`. */
export function inkOn(color) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = parseInt(color.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

/** The same colours as in annotated videos: golden-ratio steps around the colour wheel, starting at green. */
export function trackColor(trackId) {
  return `hsl(${((0.4 + trackId * 0.618034) % 1) * 360} 100% 57%)`;
}

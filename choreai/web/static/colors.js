// Colours of styles and tracks. A style's colour follows from its position in the model's list.

// Okabe and Ito's palette (2008), made for colour-blind eyes, ordered so that neighbours differ most.
const STYLES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7f6bb3", "#b8a800"];
const UNKNOWN = "#8b9096";

export function styleColor(style, styles) {
  const place = styles.indexOf(style);
  return place < 0 ? UNKNOWN : STYLES[place % STYLES.length];
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

// Draws the style probabilities of the last minute as stacked areas that move to the left.
import { styleColor } from "./colors.js";

const SECONDS = 60;

export class Timeline {
  constructor(canvas) {
    this.canvas = canvas;
    this.samples = []; // {at, shares: {style: score}}
    this.styles = [];
    this.tick = () => { this.draw(); this.frame = requestAnimationFrame(this.tick); };
  }

  start(styles) {
    this.styles = styles;
    this.samples = [];
    cancelAnimationFrame(this.frame);
    this.tick();
  }

  stop() {
    cancelAnimationFrame(this.frame);
  }

  add(distribution) {
    const at = performance.now() / 1000;
    this.samples.push({ at, shares: Object.fromEntries(distribution.map(({ style, score }) => [style, score])) });
    while (this.samples.length && this.samples[0].at < at - SECONDS - 5) this.samples.shift();
  }

  draw() {
    const scale = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * scale);
    const height = Math.round(this.canvas.clientHeight * scale);
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    const context = this.canvas.getContext("2d");
    context.fillStyle = getComputedStyle(this.canvas).getPropertyValue("--sunken");
    context.fillRect(0, 0, width, height);
    const now = performance.now() / 1000;
    const x = (at) => width * (1 - (now - at) / SECONDS);
    const floor = this.samples.map(() => 0);
    for (const style of this.styles) {
      const top = this.samples.map(({ shares }, i) => floor[i] + (shares[style] ?? 0));
      context.fillStyle = styleColor(style);
      context.beginPath();
      this.samples.forEach(({ at }, i) => context.lineTo(x(at), height * (1 - floor[i])));
      for (let i = this.samples.length - 1; i >= 0; i--) context.lineTo(x(this.samples[i].at), height * (1 - top[i]));
      context.fill();
      top.forEach((value, i) => { floor[i] = value; });
    }
  }
}

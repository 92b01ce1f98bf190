// One viewer's connection: sends pictures of a playing <video>, receives skeletons and styles. The next picture is
// taken only after the reply to the last one, and is the newest available, so that the delay cannot grow.

const MAX_SIDE = 640;
const JPEG_QUALITY = 0.8;
const CLOCK_BYTES = 8;
const KEPT_DELAYS = 100;

export class LiveStream {
  /** `on`: {welcome, pose, busy, style, problem, closed}, each called with the server's message. */
  constructor(video, on) {
    this.video = video;
    this.on = on;
    this.interval = 100;
    this.waiting = true;
    this.dueAt = -Infinity;
    this.canvas = new OffscreenCanvas(2, 2);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true, alpha: false });
    this.delays = [];
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/v1/live`);
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onclose = (event) => this.closed(event);
    this.video.requestVideoFrameCallback((now, frame) => this.offer(now, frame));
  }

  close() {
    this.isClosed = true;
    this.socket.close();
  }

  /** Return the median and 95th percentile of the latest delays from picture to drawn skeleton, in milliseconds. */
  delay() {
    const sorted = [...this.delays].sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    return sorted.length ? { median: at(0.5), p95: at(0.95), count: sorted.length } : null;
  }

  drawn(capturedMs) {
    this.delays.push(performance.now() - capturedMs);
    if (this.delays.length > KEPT_DELAYS) this.delays.shift();
  }

  offer(now, frame) {
    if (this.isClosed) return;
    this.video.requestVideoFrameCallback((next, details) => this.offer(next, details));
    // A camera's picture carries its capture time; a file's counts from when it is shown.
    const capturedMs = Math.min(frame.captureTime ?? now, now);
    const isDue = now >= this.dueAt - 5;
    if (this.waiting || !isDue || this.socket.readyState !== WebSocket.OPEN || capturedMs <= this.lastCapture) return;
    this.dueAt = Math.max(this.dueAt + this.interval, now); // on time on average, whatever the camera's rate
    this.lastCapture = capturedMs;
    this.waiting = true;
    this.send(capturedMs);
  }

  async send(capturedMs) {
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
    const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    this.context.drawImage(this.video, 0, 0, w, h);
    const blob = await this.canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
    const message = new Uint8Array(CLOCK_BYTES + blob.size);
    new DataView(message.buffer).setFloat64(0, capturedMs, true);
    message.set(new Uint8Array(await blob.arrayBuffer()), CLOCK_BYTES);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(message);
  }

  receive(message) {
    if (message.type === "welcome") {
      this.interval = 1000 / message.frames_per_second;
      this.waiting = false;
    }
    if (message.type === "pose" || message.type === "busy") this.waiting = false;
    if (message.type === "problem") this.isRefused = true;
    this.on[message.type]?.(message);
  }

  closed(event) {
    if (this.isClosed) return;
    this.isClosed = true;
    if (!this.isRefused) this.on.problem({ detail: event.reason || "the connection to the server was lost" });
    this.on.closed();
  }
}

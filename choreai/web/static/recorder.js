// Records takes from a camera: counts down, then films with sound. A take with the skeleton drawn in is filmed twice, because
// keypoints are to be found in the picture as it was.
const TYPES = ["video/mp4;codecs=avc1.42E01F,mp4a.40.2", "video/mp4;codecs=avc1.42E01F,opus", "video/webm;codecs=vp8,opus", "video/webm", "video/mp4"];
const BITS_PER_SECOND = 4e6;
const DRAWN_PER_SECOND = 30;
const SOUND = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }; // made for speech; music suffers

export class Recorder {
  /** `on`: {count(seconds left, 0 at the end), time(seconds so far), note(text)}. */
  constructor(video, overlay, on) {
    Object.assign(this, { video, overlay, on, isBusy: false });
  }

  /** Return the take {plain, drawn, seconds}; null if it was stopped before it began. */
  async record({ countdown, seconds, hasSkeleton, hasSound }) {
    this.isBusy = this.isWanted = true;
    const sound = hasSound ? await this.openSound() : [];
    try {
      await this.countDown(countdown);
      return this.isWanted ? await this.film(seconds, hasSkeleton, sound) : null;
    } finally {
      sound.forEach((track) => track.stop());
      this.isBusy = false;
    }
  }

  /** End the countdown or the take. */
  stop() {
    this.isWanted = false;
    this.wake?.();
  }

  async openSound() {
    try {
      return (await navigator.mediaDevices.getUserMedia({ audio: SOUND })).getAudioTracks();
    } catch {
      this.on.note("Without sound: the browser is not allowed to use a microphone, or there is none.");
      return [];
    }
  }

  async countDown(seconds) {
    for (let left = seconds; left > 0 && this.isWanted; left--) {
      this.on.count(left);
      await this.sleep(1000);
    }
    this.on.count(0);
  }

  async film(seconds, hasSkeleton, sound) {
    const plain = filmOf([...this.video.srcObject.getVideoTracks(), ...sound]);
    this.drawn = hasSkeleton ? document.createElement("canvas") : null;
    if (this.drawn) this.draw();
    const drawn = this.drawn && filmOf([...this.drawn.captureStream(DRAWN_PER_SECOND).getVideoTracks(), ...sound]);
    const begun = performance.now();
    const passed = () => (performance.now() - begun) / 1000;
    while (this.isWanted && passed() < seconds && this.video.srcObject) {
      this.on.time(passed());
      await this.sleep(Math.min(200, 1000 * (seconds - passed())));
    }
    const take = { seconds: passed(), plain: await plain.end(), drawn: drawn && await drawn.end() };
    this.drawn = null;
    return take;
  }

  draw() {
    if (!this.drawn) return;
    const { videoWidth: width, videoHeight: height } = this.video;
    if (this.drawn.width !== width || this.drawn.height !== height) Object.assign(this.drawn, { width, height });
    const context = this.drawn.getContext("2d", { alpha: false });
    context.drawImage(this.video, 0, 0, width, height);
    context.drawImage(this.overlay, 0, 0, width, height);
    this.video.requestVideoFrameCallback(() => this.draw());
  }

  sleep(milliseconds) {
    return new Promise((resolve) => { this.wake = resolve; setTimeout(resolve, milliseconds); });
  }
}

/** A film of these tracks that has begun; `end` returns it as a Blob. */
export function filmOf(tracks) {
  const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
  const recorder = new MediaRecorder(new MediaStream(tracks), { mimeType, videoBitsPerSecond: BITS_PER_SECOND });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const ended = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start(1000);
  return {
    async end() {
      if (recorder.state !== "inactive") recorder.stop();
      await ended;
      return new Blob(parts, { type: recorder.mimeType.split(";")[0] });
    },
  };
}

// Hands files on: to the device's other programs where the browser can, else as a download.
import { make } from "./page.js";

export const fileName = (name, type) => `${name}.${type.includes("mp4") ? "mp4" : "webm"}`;

export function download(file) {
  const link = make("a", { href: URL.createObjectURL(file), download: file.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export async function share(file) {
  try {
    if (navigator.canShare?.({ files: [file] })) return await navigator.share({ files: [file], title: file.name });
  } catch (error) {
    if (error.name === "AbortError") return; // the person thought better of it
  }
  download(file);
}

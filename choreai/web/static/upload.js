// Uploads one video, chosen by button or dropped, shows the progress, then opens the page of its result.
import { Problem, byId, percent, showProblem, signIn } from "./page.js";
import { remember } from "./recent.js";

export function wireUpload() {
  const form = byId("upload");
  byId("upload-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) upload(file);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["dragenter", "dragover"]) form.addEventListener(name, (event) => over(event, true));
  for (const name of ["dragleave", "drop"]) form.addEventListener(name, (event) => over(event, false));
  form.addEventListener("drop", (event) => {
    const [file] = event.dataTransfer.files;
    if (file) upload(file);
  });

  function over(event, isOver) {
    event.preventDefault();
    form.classList.toggle("over", isOver);
  }
}

async function upload(file) {
  byId("upload-problem").hidden = true;
  byId("upload-progress").hidden = false;
  byId("upload-name").textContent = file.name;
  try {
    const { page } = await send(file, (share) => {
      byId("upload-bar").value = share;
      byId("upload-state").textContent = `Uploading, ${percent(share)}`;
    });
    location.assign(page);
  } catch (problem) {
    byId("upload-progress").hidden = true;
    showProblem(byId("upload-problem"), problem);
  }
}

/** Send a video file; return {video_id, url, page} of its result. `onShare` is told how much is sent. Throws a Problem. */
export function send(file, onShare) {
  const request = new XMLHttpRequest(); // fetch does not report upload progress
  request.open("POST", `/v1/classify?name=${encodeURIComponent(file.name)}`);
  request.setRequestHeader("Content-Type", file.type.startsWith("video/") ? file.type : "application/octet-stream");
  request.upload.onprogress = ({ loaded, total }) => onShare(loaded / total);
  return new Promise((resolve, reject) => {
    request.onload = () => {
      if (request.status === 401) signIn();
      if (request.status !== 202) return reject(problemOf(request));
      const accepted = JSON.parse(request.responseText);
      remember(accepted.video_id, file.name);
      return resolve(accepted);
    };
    request.onerror = () => reject(new Problem({ detail: "the connection was interrupted; the file may be too large" }));
    request.send(file);
  });
}

function problemOf(request) {
  try {
    return new Problem(JSON.parse(request.responseText));
  } catch {
    return new Problem({ detail: `the server responded with status ${request.status}` });
  }
}

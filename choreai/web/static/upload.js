// Uploads one video, chosen by button or dropped, shows the progress, then opens the page of its result.
import { Problem, byId, percent, showProblem, signIn } from "./page.js";

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

function upload(file) {
  byId("upload-problem").hidden = true;
  byId("upload-progress").hidden = false;
  byId("upload-name").textContent = file.name;
  const request = new XMLHttpRequest(); // fetch does not report upload progress
  request.open("POST", `/v1/classify?name=${encodeURIComponent(file.name)}`);
  request.setRequestHeader("Content-Type", file.type.startsWith("video/") ? file.type : "application/octet-stream");
  request.upload.onprogress = ({ loaded, total }) => {
    byId("upload-bar").value = loaded / total;
    byId("upload-state").textContent = `Uploading, ${percent(loaded / total)}`;
  };
  request.onload = () => {
    if (request.status === 202) location.assign(JSON.parse(request.responseText).page);
    else if (request.status === 401) signIn();
    else failed(problemOf(request));
  };
  request.onerror = () => failed(new Problem({ detail: "the connection was interrupted; the file may be too large" }));
  request.send(file);
}

function failed(problem) {
  byId("upload-progress").hidden = true;
  showProblem(byId("upload-problem"), problem);
}

function problemOf(request) {
  try {
    return new Problem(JSON.parse(request.responseText));
  } catch {
    return new Problem({ detail: `the server responded with status ${request.status}` });
  }
}

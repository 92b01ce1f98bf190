// A stage that fills the screen, with all that is drawn over the video: by the browser, or where it cannot (on iPhones) by
// filling the page.
export function wireFullScreen(button, stage) {
  const isFull = () => document.fullscreenElement === stage || stage.classList.contains("filling");
  const show = () => {
    button.setAttribute("aria-pressed", String(isFull()));
    stage.dispatchEvent(new Event("filled"));
  };
  const fill = (isOn) => { stage.classList.toggle("filling", isOn); show(); };

  async function toggle() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else if (isFull()) fill(false);
    else if (!stage.requestFullscreen) fill(true);
    else await stage.requestFullscreen().catch(() => fill(true));
  }

  button.addEventListener("click", toggle);
  document.addEventListener("fullscreenchange", show);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && stage.classList.contains("filling")) fill(false); });
  return toggle;
}

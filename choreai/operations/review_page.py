"""The review page: stills, the model's tag, and keys to correct it. The page itself makes the corrections file."""

import base64
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from choreai.motion.people import Person
from choreai.operations.review import Candidate
from choreai.operations.who_dances import PossibleDancer
from choreai.visualize.html import browser_link, render_page
from choreai.visualize.style_colors import style_color

_STYLE = """
header { position: sticky; top: 0; background: var(--paper); border-bottom: 1px solid var(--line); padding: .5rem 0;
  display: flex; flex-wrap: wrap; gap: .8rem; align-items: center; z-index: 1; }
article { padding: .8rem; margin: .8rem 0; border: 2px solid var(--line); border-radius: .6rem;
  scroll-margin-top: 5rem; }
article.here { border-color: var(--accent); } article.done { background: var(--card); }
article img, article video { width: 100%; max-width: 60rem; border-radius: .3rem; display: block; }
article video { max-height: 70vh; background: #000; }
.missing { background: var(--card); border-radius: .3rem; padding: 2rem 1rem; color: var(--soft); }
button, input { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: .4rem; padding: .3rem .7rem; min-height: 2.2rem; }
button { cursor: pointer; } button[aria-pressed=true] { background: var(--accent); color: var(--paper); }
fieldset { border: 0; padding: 0; margin: .6rem 0; } legend { padding: 0; font-weight: 600; }
.people { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: .5rem; margin-top: .3rem; }
.people button { padding: .25rem; display: grid; gap: .25rem; text-align: left; font-size: .8em; align-content: start; }
.people img { width: 100%; border-radius: .3rem; display: block; }
.people button[aria-pressed=true] { background: var(--card); color: inherit; outline: 3px solid var(--accent); }
.people button[aria-pressed=true] b::after { content: " dances"; color: var(--accent); }
.styles { display: flex; flex-wrap: wrap; gap: .4rem; margin-top: .5rem; } kbd { color: var(--soft); font-size: .8em; }
button[aria-pressed=true] kbd { color: inherit; }
"""

_BODY = """
<h1>{{ title }}</h1>
<p class="soft">Keys: <kbd>j</kbd> next, <kbd>k</kbd> back, <kbd>Enter</kbd> confirm the best style, <kbd>1</kbd> to
<kbd>9</kbd> a style, <kbd>0</kbd> none of these styles, <kbd>a</kbd> to <kbd>h</kbd> who dances,
<kbd>space</kbd> plays the video, <kbd>Backspace</kbd> undo. Answers stay in this
browser; the button downloads the file for <code>choreai review --import</code>.</p>
<header>
  <label>Reviewer <input id="reviewer" autocomplete="name" size="16"></label>
  <span id="count" aria-live="polite"></span>
  <button id="save" type="button">Download corrections.csv</button>
</header>
<main>
{% for video in videos %}
<article data-number="{{ loop.index0 }}">
  {% if video.still %}<img class="still" src="{{ video.still }}" alt="four stills with skeletons" loading="lazy">
  {% else %}<div class="still missing">No picture: {{ video.problem }}</div>{% endif %}
  {% if video.link %}
  <p><button type="button" class="play" data-link="{{ video.link }}">Play <kbd>space</kbd></button></p>
  {% endif %}
  <p><b>{{ video.video_id }}</b> <span class="soft">{{ video.uri }}</span></p>
  <p>{{ video.why }}</p>
  {% if video.people %}
  <fieldset>
    <legend>Who dances?</legend>
    <p class="soft">Choose one, or several who dance together; one person may be here under several numbers.</p>
    <div class="people">
      {% for person in video.people %}
      <button type="button" data-person="{{ loop.index0 }}" aria-pressed="false"><img src="{{ person.portrait }}"
        alt="person {{ person.id }}"><span><b>{{ person.id }}</b> <kbd>{{ "abcdefgh"[loop.index0] }}</kbd><br>
        {{ person.facts }}</span></button>
      {% endfor %}
    </div>
  </fieldset>
  {% endif %}
  <div class="styles">
    {% for style in styles %}
    <button type="button" data-style="{{ style }}" aria-pressed="false">
      <i class="dot" style="background: {{ color(style) }}"></i> {{ style }}
      {% if loop.index < 10 %}<kbd>{{ loop.index }}</kbd>{% endif %}</button>
    {% endfor %}
    <button type="button" data-style="unknown" aria-pressed="false">none of these <kbd>0</kbd></button>
    <input class="other" placeholder="another style" aria-label="another style" size="12">
    <input class="note" placeholder="note" aria-label="note" size="16">
  </div>
</article>
{% else %}
<p>Nothing to review: every tag has been reviewed, or there are none.</p>
{% endfor %}
</main>
<script type="application/json" id="videos">{{ records | tojson }}</script>
"""

_SCRIPT = r"""
"use strict";
const videos = JSON.parse(document.getElementById("videos").textContent);
const articles = [...document.querySelectorAll("article")];
const reviewer = document.getElementById("reviewer");
const stored = "choreai-review";
let here = 0, answers = {};
try { const kept = JSON.parse(localStorage.getItem(stored) || "{}"); answers = kept.answers || {};
  reviewer.value = kept.reviewer || ""; } catch (error) { /* some browsers store nothing for local files */ }
const keyOf = video => video.video_id + "\u0000" + video.content_id;
for (const video of videos) {  // ids are of one version of the poses
  const given = answers[keyOf(video)];
  if (given && given.poses !== video.pose_fingerprint) given.people = [];
}
function keep() {
  const state = JSON.stringify({answers, reviewer: reviewer.value});
  try { localStorage.setItem(stored, state); } catch (error) { /* same */ }
}
function show() {
  articles.forEach((article, number) => {
    const answer = answers[keyOf(videos[number])];
    article.classList.toggle("here", number === here);
    article.classList.toggle("done", Boolean(answer));
    const buttons = [...article.querySelectorAll("button[data-style]")];
    for (const button of buttons)
      button.setAttribute("aria-pressed", String(Boolean(answer) && answer.style === button.dataset.style));
    for (const button of article.querySelectorAll("button[data-person]"))
      button.setAttribute("aria-pressed", String(peopleOf(answer).includes(idOf(number, button))));
    const listed = answer && buttons.some(button => button.dataset.style === answer.style);
    const other = article.querySelector(".other"), note = article.querySelector(".note");
    if (other !== document.activeElement) other.value = answer && !listed ? answer.style || "" : "";
    if (note !== document.activeElement && answer) note.value = answer.note;
  });
  const done = videos.filter(video => answers[keyOf(video)]).length;
  document.getElementById("count").textContent = done + " of " + videos.length + " reviewed";
  keep();
}
function go(number) {
  if (!articles.length) return;
  here = Math.max(0, Math.min(articles.length - 1, number));
  show();
  articles[here].scrollIntoView({block: "start"});
}
function answer(number, style, people = peopleOf(answers[keyOf(videos[number])])) {
  const key = keyOf(videos[number]);
  if (style || people.length) answers[key] = {style, people, poses: videos[number].pose_fingerprint,
    at: new Date().toISOString(), note: articles[number].querySelector(".note").value};
  else delete answers[key];
  here = number;
  show();
}
const peopleOf = given => (given && given.people) || [];
const idOf = (number, button) => videos[number].people[Number(button.dataset.person)].id;
function choose(number, button) {
  if (!button) return;
  const given = answers[keyOf(videos[number])], id = idOf(number, button), chosen = peopleOf(given);
  const people = chosen.includes(id) ? chosen.filter(other => other !== id) : [...chosen, id];
  answer(number, given ? given.style : "", people);
}
function play(number) {  // in place of the stills, with its sound; again: the stills
  const article = articles[number], button = article.querySelector(".play");
  if (!button) return;
  const playing = article.querySelector("article > video"), still = article.querySelector(".still");
  for (const video of document.querySelectorAll("article > video")) {
    video.closest("article").querySelector(".still").hidden = false;
    video.remove();
  }
  if (playing) return;
  const video = document.createElement("video");
  video.controls = true;
  video.src = button.dataset.link;
  video.addEventListener("error", () => {
    video.remove();
    still.hidden = false;
    button.textContent = "This browser cannot play it, or the file is gone";
  });
  still.hidden = true;
  article.prepend(video);
  video.play().catch(() => {});
}
function settle(style) { answer(here, style); go(here + 1); }
articles.forEach((article, number) => {
  article.addEventListener("click", event => {
    const button = event.target.closest("button[data-style]"), person = event.target.closest("button[data-person]");
    if (event.target.closest(".play")) play(number);
    else if (person) choose(number, person);
    else if (button) answer(number, button.dataset.style);
    else { here = number; show(); }
  });
  article.querySelector(".other").addEventListener("change", event => answer(number, event.target.value.trim()));
  article.querySelector(".note").addEventListener("change", event => {
    const given = answers[keyOf(videos[number])];
    if (given) { given.note = event.target.value; keep(); }
  });
});
document.addEventListener("keydown", event => {
  if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey || !articles.length) return;
  const styles = [...articles[here].querySelectorAll("button[data-style]")].map(button => button.dataset.style);
  if (event.key === "j" || event.key === "ArrowDown") go(here + 1);
  else if (event.key === "k" || event.key === "ArrowUp") go(here - 1);
  else if (event.key === " " && !event.target.closest("button, video")) play(here);
  else if (event.key === "Backspace") answer(here, "", []);
  else if (/^[a-h]$/.test(event.key))
    choose(here, articles[here].querySelectorAll("[data-person]")["abcdefgh".indexOf(event.key)]);
  else if (event.key === "Enter" && event.target.tagName !== "BUTTON") settle(videos[here].best_style);
  else if (event.key === "0") settle("unknown");
  else if (/^[1-9]$/.test(event.key) && Number(event.key) < styles.length) settle(styles[Number(event.key) - 1]);
  else return;
  event.preventDefault();
});
reviewer.addEventListener("change", keep);
// As in choreai.search.spreadsheet: a spreadsheet must not evaluate a video id as a formula.
const neutral = text => /^'*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/.test(text) ? "'" + text : text;
const cell = text => '"' + neutral(text).replaceAll('"', '""') + '"';
document.getElementById("save").addEventListener("click", () => {
  if (!reviewer.value.trim()) { reviewer.focus(); reviewer.placeholder = "your name first"; return; }
  const lines = ["video_id,content_id,style,reviewer,reviewed_at,note,dancers,pose_fingerprint"];
  for (const video of videos) {
    const given = answers[keyOf(video)];
    if (!given) continue;
    const dancers = video.people.filter(person => peopleOf(given).includes(person.id)).map(person => person.dancers);
    lines.push([video.video_id, video.content_id, given.style || "", reviewer.value.trim(), given.at, given.note,
      dancers.join(" "), dancers.length ? video.pose_fingerprint : ""].map(cell).join(","));
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], {type: "text/csv"}));
  link.download = "corrections.csv";
  link.click();
});
show();
"""


def review_page(
    candidates: Sequence[Candidate],
    stills: Mapping[str, bytes | str],
    *,
    styles: Sequence[str],
    people: Mapping[str, Sequence[PossibleDancer]] = MappingProxyType({}),
) -> str:
    """Return the page for `candidates`, offering `styles`. `stills`: a JPEG by video_id, or why there is none;
    `people`: by video_id who may dance, where that is asked."""
    videos = [
        {
            "video_id": each.video_id,
            "uri": each.uri,
            "why": each.why,
            "still": _data_uri(still) if isinstance(still := stills[each.video_id], bytes) else None,
            "problem": still,
            "link": browser_link(each.uri),
            "people": [
                {"id": one.person.track_id, "portrait": _data_uri(one.portrait), "facts": _facts(one.person)}
                for one in people.get(each.video_id, ())
            ],
        }
        for each in candidates
    ]
    records = [
        {
            **{name: getattr(each, name) for name in ("video_id", "content_id", "best_style", "pose_fingerprint")},
            "people": [{"id": one.person.track_id, "dancers": one.text} for one in people.get(each.video_id, ())],
        }
        for each in candidates
    ]
    data = {"videos": videos, "records": records, "styles": list(styles), "color": style_color}
    return render_page(f"{len(candidates)} videos to review", _BODY, data, style=_STYLE, script=_SCRIPT, media=True)


def _facts(person: Person) -> str:
    """Return what tells a person from the others, in a few words."""
    dances = f", dances {person.dancing_share:.0%}" if person.dancing_share else ""
    return f"seen {person.seconds:.0f} s{dances}"


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"

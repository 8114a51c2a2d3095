// Shows the console of a task, follows its end, and finds text in all of it.
"use strict";

const TAIL_MILLISECONDS = 1000;
const ASK_AFTER_END = 10; // times: the agent may still report lines of a task that has ended
const MOST_PIXELS = 400000; // of lines, some 20,000, that stay in the page while it follows a console
const MOST_FOUND = 300; // lines, and
const SEARCH_MILLISECONDS = 20000; // for a search

function made(name, ...content) {
  const element = document.createElement(name);
  element.append(...content);
  return element;
}

// Return the lines, with links where they hold ids that something has.
function batch(lines, ids) {
  const parts = lines.map((line) => line + "\n").join("").split(/([0-9a-f]{32})/);
  const text = made("span", ...parts.map((part) => (ids[part] ? made("a", part) : part)));
  for (const link of text.children) link.href = ids[link.textContent];
  return text;
}

document.addEventListener("DOMContentLoaded", () => {
  const ids = ["log", "log-state", "earlier", "follow", "search", "found"];
  const [log, state, earlier, follow, search, found] = ids.map((id) => document.getElementById(id));
  let before = null; // the place of the first line in the page
  let atEnd = true; // whether the page shows the last lines, and not those around one that was found
  let last = 0;
  let run = "";
  let left = ASK_AFTER_END;
  let searches = 0;

  async function ask(query) {
    return (await get(log.dataset.source + query)).json();
  }

  function fail(error) {
    state.textContent = `The console cannot be read. ${error.message}`;
  }

  function on(control, event, act) {
    control.addEventListener(event, () => {
      if (control.busy) return;
      control.busy = true; // disabled, it would lose the focus
      act().catch(fail).finally(() => { control.busy = false; });
    });
  }

  function startAt(place) {
    before = place;
    earlier.hidden = !before;
  }

  function take(answer) {
    ({ last, run } = answer);
    if (answer.lines.length) log.append(batch(answer.lines, answer.ids));
    while (follow.checked && log.scrollHeight > MOST_PIXELS && log.childElementCount > 1) {
      log.firstChild.remove();
      startAt(null); // reloading the page brings them back
    }
    if (follow.checked) log.scrollTop = log.scrollHeight;
    state.textContent = answer.live ? "New lines appear automatically." : log.firstChild ? "" : "No lines.";
  }

  async function showEnd() {
    const answer = await ask("");
    atEnd = true;
    log.replaceChildren();
    take(answer);
    startAt(answer.before);
    return answer.live;
  }

  // Show the lines around one that was found.
  async function jump({ place, after }) {
    const answer = await ask(`?before=${place}`);
    follow.checked = atEnd = false;
    const lines = answer.lines.map((line) => batch([line], answer.ids));
    const mark = made("mark", lines.at(-1 - after));
    lines.splice(-1 - after, 1, mark);
    log.replaceChildren(...lines);
    startAt(answer.before);
    log.scrollTop = mark.offsetTop - log.clientHeight / 3;
    log.focus();
  }

  async function step() {
    if (!atEnd) return true; // what comes in now would not follow the lines in the page
    const answer = await ask(`?after=${last}`);
    if (!atEnd) return true;
    if (run && answer.run !== run) location.reload(); // the task was reset
    left = answer.live || answer.more ? ASK_AFTER_END : left - 1;
    take(answer);
    return left > 0;
  }

  on(earlier, "click", async () => {
    const answer = await ask(`?before=${before}`);
    const height = log.scrollHeight;
    log.prepend(batch(answer.lines, answer.ids));
    log.scrollTop += log.scrollHeight - height;
    follow.checked = false;
    startAt(answer.before);
  });
  on(follow, "change", async () => {
    if (follow.checked && !atEnd) await showEnd();
  });

  // The server searches a part of the console for each answer, from the end backwards.
  async function find() {
    const [mine, end] = [++searches, performance.now() + SEARCH_MILLISECONDS];
    const text = encodeURIComponent(search.find.value);
    const said = search.querySelector("[role=status]");
    let place = "";
    found.replaceChildren();
    while (place !== null && found.childElementCount < MOST_FOUND && performance.now() < end) {
      said.textContent = "Searching …";
      const answer = await ask(`?find=${text}&before=${place}`);
      if (mine !== searches) return;
      for (const line of answer.found) {
        const [start, text, end] = line.pieces;
        const button = made("button", start, made("mark", text), end);
        on(button, "click", () => jump(line));
        found.append(made("li", button));
      }
      place = answer.before;
    }
    const rest = place === null ? "" : " Earlier lines were not searched.";
    said.textContent = `Lines with this text: ${found.childElementCount}.${rest}`;
  }

  search.addEventListener("submit", (event) => {
    event.preventDefault();
    find().catch(fail);
  });
  showEnd().then((live) => {
    if (live) repeat(step, TAIL_MILLISECONDS);
  }).catch(fail);
});

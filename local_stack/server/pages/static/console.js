// Shows the console of a task, follows its end, and finds text in all of it.
"use strict";

const TAIL_MILLISECONDS = 1000;
const ASK_AFTER_END = 10; // times: the agent may still report lines of a task that has ended
const MOST_LINES = 20000; // that stay in the page while it follows a console
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
  const ids = ["log", "log-state", "earlier", "later", "follow", "search", "found"];
  const [log, state, earlier, later, follow, search, found] = ids.map((id) => document.getElementById(id));
  let before = null; // the place of the first line in the page
  let next = null; // the place after the last one, if the console goes on there
  let last = 0;
  let run = "";
  let left = ASK_AFTER_END;
  let view = 0; // changes when other lines are shown
  let searches = 0;
  let counts = []; // lines of each element in the page

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

  function setEnds(first, following) {
    [before, next] = [first, following];
    earlier.hidden = !before;
    later.hidden = !next;
  }

  function append({ lines, ids }) {
    if (!lines.length) return;
    log.append(batch(lines, ids));
    counts.push(lines.length);
    let total = counts.reduce((sum, count) => sum + count, 0);
    while (follow.checked && total > MOST_LINES && counts.length > 1) {
      total -= counts.shift();
      log.firstChild.remove();
      setEnds(null, next); // reloading the page brings them back
    }
    if (follow.checked) log.scrollTop = log.scrollHeight;
  }

  function clear() {
    view += 1;
    counts = [];
    log.replaceChildren();
  }

  function take(answer) {
    ({ last, run } = answer);
    append(answer);
    state.textContent = answer.live ? "New lines appear automatically." : counts.length ? "" : "No lines.";
  }

  async function showEnd() {
    const answer = await ask("");
    clear();
    take(answer);
    setEnds(answer.before, null);
    return answer.live;
  }

  // Show the lines around a place, which is before the line that was found.
  async function jump(place) {
    const [above, below] = await Promise.all([ask(`?before=${place}`), ask(`?from=${place}`)]);
    clear();
    follow.checked = false;
    append(above);
    log.append(made("mark", batch(below.lines.slice(0, 1), below.ids)));
    counts.push(1);
    append({ ...below, lines: below.lines.slice(1) });
    setEnds(above.before, below.next);
    last = below.last;
    log.scrollTop = log.querySelector("mark").offsetTop - log.clientHeight / 3;
    log.focus();
  }

  async function step() {
    const shown = view;
    if (next) return true; // what comes in now would not follow the lines in the page
    const answer = await ask(`?after=${last}`);
    if (shown !== view) return true;
    if (run && answer.run !== run) location.reload(); // the task was reset
    left = answer.live || answer.more ? ASK_AFTER_END : left - 1;
    take(answer);
    return left > 0;
  }

  on(earlier, "click", async () => {
    const answer = await ask(`?before=${before}`);
    const height = log.scrollHeight;
    log.prepend(batch(answer.lines, answer.ids));
    counts.unshift(answer.lines.length);
    log.scrollTop += log.scrollHeight - height;
    follow.checked = false;
    setEnds(answer.before, next);
  });
  on(later, "click", async () => {
    const answer = await ask(`?from=${next}`);
    append(answer);
    setEnds(before, answer.next);
    last = answer.last;
  });
  on(follow, "change", async () => {
    if (follow.checked && next) await showEnd();
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
      for (const { place, pieces } of answer.found) {
        const button = made("button", pieces[0], made("mark", pieces[1]), pieces[2]);
        on(button, "click", () => jump(place));
        found.append(made("li", button));
      }
      place = answer.before;
    }
    const count = found.childElementCount;
    const first = ["No line has this text.", "1 line has this text."][count];
    const rest = place === null ? "" : " Earlier lines were not searched.";
    said.textContent = (first ?? `${count} lines have this text, newest first.`) + rest;
  }

  search.addEventListener("submit", (event) => {
    event.preventDefault();
    find().catch(fail);
  });
  showEnd().then((live) => {
    if (live) repeat(step, TAIL_MILLISECONDS);
  }).catch(fail);
});

// Keeps a page of something that is still running up to date, and shows the console.
"use strict";

const REFRESH_MILLISECONDS = 2000;
const TAIL_MILLISECONDS = 1000;
const ASK_AFTER_END = 10; // times: the agent still reports lines of a task that has ended
const MOST_LINES = 20000; // that stay in the page while it follows a console

function main() {
  return document.querySelector("main");
}

function isLive() {
  return main().hasAttribute("data-live");
}

// Take over the parts of the page that have changed on the server. The server writes them, with all that
// users named made harmless; scripts in a document that was parsed like this do not run.
async function refresh() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.getElementById(part.id);
    if (!other || part.isEqualNode(other)) continue;
    const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
    part.replaceChildren(...other.childNodes);
    if (focused) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  }
  for (const list of document.querySelectorAll("[data-grows]")) {
    const known = new Set([...list.children].map((item) => item.dataset.source));
    const items = [...(fresh.getElementById(list.id)?.children ?? [])];
    list.append(...items.filter((item) => !known.has(item.dataset.source)));
  }
  main().toggleAttribute("data-live", fresh.querySelector("main").hasAttribute("data-live"));
}

// Call `step` again and again for as long as it answers true, but not while nobody looks.
function repeat(step, milliseconds) {
  setTimeout(async () => {
    let more = true;
    try {
      if (!document.hidden) more = await step();
    } catch {
      // The server is away, perhaps to come back.
    }
    if (more) repeat(step, milliseconds);
  }, milliseconds);
}

function showConsole(log) {
  const earlier = document.getElementById("earlier");
  const follow = document.getElementById("follow");
  const state = document.getElementById("log-state");
  let before = null;
  let last = 0;
  let run = "";
  let left = ASK_AFTER_END;
  const counts = []; // lines of each text in the page

  function node(lines) {
    return document.createTextNode(lines.map((line) => line + "\n").join(""));
  }

  function append(lines) {
    if (!lines.length) return;
    log.append(node(lines));
    counts.push(lines.length);
    let total = counts.reduce((sum, count) => sum + count, 0);
    while (follow.checked && total > MOST_LINES && counts.length > 1) {
      total -= counts.shift();
      log.firstChild.remove();
      before = null; // reloading the page brings them back
      earlier.hidden = true;
    }
    if (follow.checked) log.scrollTop = log.scrollHeight;
  }

  async function ask(query) {
    const answer = await fetch(log.dataset.source + query, { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.json();
  }

  function tell(live, empty) {
    state.textContent = live ? "The task is running: new lines appear by themselves." : empty ? "No lines." : "";
  }

  function place(answer) {
    before = answer.before;
    earlier.hidden = !before;
  }

  earlier.addEventListener("click", async () => {
    earlier.disabled = true;
    try {
      const answer = await ask(`?before=${encodeURIComponent(before)}`);
      const height = log.scrollHeight;
      log.prepend(node(answer.lines));
      counts.unshift(answer.lines.length);
      log.scrollTop += log.scrollHeight - height;
      follow.checked = false;
      place(answer);
    } finally {
      earlier.disabled = false;
    }
  });

  function take(answer) {
    ({ last, run } = answer);
    append(answer.lines);
    tell(answer.live, !counts.length);
  }

  async function step() {
    const answer = await ask(`?after=${last}`);
    if (run && answer.run !== run) location.reload(); // the task was reset
    left = answer.live || answer.more ? ASK_AFTER_END : left - 1;
    take(answer);
    return left > 0;
  }

  ask("").then((answer) => {
    take(answer);
    place(answer);
    log.dataset.loaded = "";
    if (answer.live) repeat(step, TAIL_MILLISECONDS);
  }).catch((error) => {
    state.textContent = `The console cannot be read (${error.message}).`;
  });
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  if (document.querySelector("[data-part]") && isLive()) {
    repeat(async () => {
      await refresh();
      return isLive();
    }, REFRESH_MILLISECONDS);
  }
  const log = document.getElementById("log");
  if (log) showConsole(log);
});

// Updates the page of a task that is still running.
"use strict";

const REFRESH_MILLISECONDS = 2000;

function main() {
  return document.querySelector("main");
}

function isLive() {
  return main().hasAttribute("data-live");
}

// The server will not answer this address any more, so the page stops asking.
class Gone extends Error {}

async function get(url) {
  const answer = await fetch(url, { cache: "no-store" });
  if (answer.status === 401) throw new Gone("This browser may not see the page any more: open the stack's link again.");
  if (answer.status === 404) throw new Gone("This page does not exist any more.");
  if (!answer.ok) throw new Error(`The server answers with status ${answer.status}.`);
  return answer;
}

// Say above the page why it is not up to date; without a text, that it is again.
function warn(text) {
  const said = document.getElementById("warning") ?? document.createElement("p");
  if (!text) return said.remove();
  said.id = "warning";
  said.className = "trouble";
  said.setAttribute("role", "status");
  said.textContent = text;
  main().prepend(said);
}

// What a control is, so that it is found again in a part that came anew.
function nameOf(item) {
  const text = (item.localName === "summary" ? item : item.querySelector("summary"))?.textContent;
  const value = /^(checkbox|radio|submit)$/.test(item.type) && item.value;
  return item.id || JSON.stringify([item.localName, item.name, value, text, item.getAttribute("href"), item.ariaLabel]);
}

// Take over into a fresh part what somebody has chosen, typed and opened in the old one.
function keep(part, fresh) {
  const known = new Map([...part.querySelectorAll("input, select, textarea, details")].map((item) => [nameOf(item), item]));
  for (const item of fresh.querySelectorAll("input, select, textarea, details")) {
    const old = known.get(nameOf(item));
    if (!old) continue;
    if (item.localName === "details") item.open = old.open;
    else if (old.checked !== old.defaultChecked) item.checked = old.checked;
    else if (old.value !== old.defaultValue) item.value = old.value;
  }
}

// Replace the parts of the page that have changed on the server. The server has escaped all names, and
// scripts in a document that was parsed like this do not run.
async function refresh() {
  const answer = await get(location.href);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (fresh.querySelector("#dashboard") && !document.getElementById("dashboard")) return location.reload();
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.getElementById(part.id);
    if (!other) continue;
    keep(part, other);
    if (part.isEqualNode(other)) continue;
    const focused = part.contains(document.activeElement) && nameOf(document.activeElement);
    const scrolled = [...part.querySelectorAll(".scroll, pre")].map((box) => [box.scrollLeft, box.scrollTop]);
    part.replaceChildren(...other.childNodes);
    part.querySelectorAll(".scroll, pre").forEach((box, i) => box.scrollTo(...(scrolled[i] ?? [0, 0])));
    if (focused) {
      const items = [...part.querySelectorAll("a, button, input, select, textarea, summary, [tabindex]")];
      items.find((item) => nameOf(item) === focused)?.focus({ preventScroll: true });
    }
  }
  for (const list of document.querySelectorAll("[data-grows]")) {
    const source = (item) => item.dataset.source;
    const items = [...(fresh.getElementById(list.id)?.children ?? [])];
    const wanted = new Set(items.map(source));
    for (const item of [...list.children]) if (!wanted.has(source(item))) item.remove();
    const known = new Set([...list.children].map(source));
    list.append(...items.filter((item) => !known.has(source(item))));
  }
  main().toggleAttribute("data-live", fresh.querySelector("main").hasAttribute("data-live"));
}

// Call `step` again and again while it returns true, except while the page is hidden. A step that takes long
// is called less often: the server has other clients.
function repeat(step, milliseconds, pause = milliseconds, failures = 0) {
  setTimeout(async () => {
    const begun = performance.now();
    let more = true;
    try {
      if (!document.hidden) more = await step();
      if (failures) warn("");
      failures = 0;
    } catch (error) {
      failures += 1;
      if (error instanceof Gone) {
        main().removeAttribute("data-live");
        warn(error.message);
        more = false;
      } else if (failures > 1) { // the first one may be that this page is left
        warn("The server does not answer. This page goes on when it does.");
      }
    }
    if (more) repeat(step, milliseconds, Math.max(milliseconds, 5 * (performance.now() - begun)), failures);
  }, pause);
}

// The box in a table's head chooses all rows, and shows whether all are chosen.
document.addEventListener("change", (event) => {
  const table = event.target.closest("table");
  const all = table?.querySelector("[data-all]");
  if (!all) return;
  const rows = [...table.querySelectorAll("tbody [form=chosen]")];
  if (event.target === all) for (const row of rows) row.checked = all.checked;
  else all.checked = rows.every((row) => row.checked);
});

document.addEventListener("DOMContentLoaded", () => {
  for (const node of document.querySelectorAll(".node.current")) {
    const box = node.closest(".graph"); // which may be too narrow to show it at first
    box.scrollLeft = node.getBoundingClientRect().right - box.getBoundingClientRect().right + box.clientWidth / 4;
  }
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  if (document.querySelector("[data-part]") && isLive()) {
    repeat(async () => {
      await refresh();
      return isLive();
    }, 1000 * main().dataset.seconds || REFRESH_MILLISECONDS);
  }
});

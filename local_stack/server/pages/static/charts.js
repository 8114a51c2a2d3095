// Draws charts, tables and images when they scroll into view.
"use strict";

const REDRAW_MILLISECONDS = 5000;
const CONFIG = { displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "" };

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Return the figure's own layout with the colours of the page and the size of its frame.
function styled(layout) {
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true };
  const kept = { ...layout };
  delete kept.width;
  delete kept.height;
  return {
    ...kept,
    autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...kept.font, color: colour("--text") },
    margin: { l: 56, r: 20, t: 24, b: 56 },
    template: {
      layout: {
        colorway: ["#3f7ae0", "#e58a1f", "#2f9e63", "#c5453c", "#8a5fd0", "#12939a", "#b0679c", "#7f8a99"],
        xaxis: axis,
        yaxis: axis,
        legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      },
      data: { heatmap: [{ colorscale: [[0, colour("--sunk")], [1, "#3f7ae0"]] }] },
    },
  };
}

function table(found) {
  const made = document.createElement("table");
  made.className = found.columns[0] ? "data" : "data indexed";
  const head = made.createTHead().insertRow();
  for (const name of found.columns) {
    const cell = document.createElement("th");
    cell.textContent = name;
    head.append(cell);
  }
  const body = made.createTBody();
  for (const values of found.rows) {
    const row = body.insertRow();
    for (const value of values) row.insertCell().textContent = value;
  }
  return made;
}

function note(text) {
  const made = document.createElement("p");
  made.className = "soft";
  made.textContent = text;
  return made;
}

async function show(place, found, title) {
  if (found.figure) {
    if (!place.querySelector(".plot-container")) place.replaceChildren();
    place.classList.remove("fits");
    await Plotly.react(place, found.figure.data, styled(found.figure.layout), CONFIG);
    return;
  }
  Plotly.purge(place);
  place.classList.toggle("fits", Boolean(found.tables));
  if (found.tables) {
    place.replaceChildren(...found.tables.flatMap((one) => [
      table(one),
      ...(one.left_out ? [note(`${one.left_out} more rows are not shown.`)] : []),
      ...(one.columns_left_out ? [note(`${one.columns_left_out} more columns are not shown.`)] : []),
    ]));
  } else if (found.image) {
    const image = document.createElement("img");
    image.src = found.image;
    image.alt = title;
    place.replaceChildren(image);
  } else {
    place.replaceChildren(note(found.problem || "This image is not on this server."));
  }
}

// Bring the chart up to date. If that fails, the old drawing stays, and the next round tries again.
async function draw(chart) {
  const place = chart.querySelector(".drawing");
  const known = chart.dataset.version;
  let found = chart.dataset.figure && JSON.parse(chart.dataset.figure);
  try {
    const query = known === undefined ? "" : `&known=${encodeURIComponent(known)}`;
    found ??= await (await get(chart.dataset.source + query)).json();
  } catch (error) {
    if (known === undefined || error instanceof Gone) await show(place, { problem: error.message });
    chart.toggleAttribute("data-drawn", error instanceof Gone);
    return;
  }
  if (found.version !== known) {
    chart.dataset.version = found.version;
    try {
      await show(place, found, chart.querySelector("figcaption").textContent);
    } catch (error) {
      await show(place, { problem: `This cannot be drawn (${error.message}).` });
    }
  }
  chart.dataset.drawn = "";
}

document.addEventListener("DOMContentLoaded", () => {
  const visible = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) visible.delete(target);
      else if (!visible.has(target)) {
        visible.add(target);
        draw(target);
      }
    }
  }, { rootMargin: "200px" });
  for (const chart of document.querySelectorAll(".chart")) watcher.observe(chart);
  // While a task runs, it may report metrics that did not exist when the page was opened.
  const newcomers = new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node instanceof Element) watcher.observe(node);
    }
  });
  for (const list of document.querySelectorAll("[data-grows]")) newcomers.observe(list, { childList: true });

  // The colours of a drawing are fixed when it is made.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of document.querySelectorAll(".chart")) delete chart.dataset.version;
    visible.forEach(draw);
  });
  let wasLive = isLive();
  repeat(async () => {
    const live = isLive();
    // Draw once more when the task has ended: its last points may have come since the last round.
    const due = [...visible].filter((chart) => live || wasLive || !("drawn" in chart.dataset));
    wasLive = live;
    await Promise.all(due.map(draw));
    return true;
  }, REDRAW_MILLISECONDS);
});

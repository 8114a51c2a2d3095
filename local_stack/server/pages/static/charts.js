// Draws charts, tables and images when they come into view.
"use strict";

const REDRAW_MILLISECONDS = 5000;
const CONFIG = { displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "" };

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The figure's own layout in the colours of the page, and as large as its frame.
function dressed(layout) {
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

async function draw(chart) {
  const answer = await fetch(chart.dataset.source, { cache: "no-store" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const found = await answer.json();
  const place = chart.querySelector(".drawing");
  if (found.figure) {
    if (!place.classList.contains("js-plotly-plot")) place.replaceChildren();
    await Plotly.react(place, found.figure.data, dressed(found.figure.layout), CONFIG);
  } else if (found.tables) {
    place.classList.add("fits");
    place.replaceChildren(...found.tables.flatMap((one) => [
      table(one), ...(one.left_out ? [note(`${one.left_out} more rows are not shown.`)] : []),
    ]));
  } else if (found.image) {
    const image = document.createElement("img");
    image.src = found.image;
    image.alt = chart.querySelector("figcaption").textContent;
    place.replaceChildren(image);
  } else {
    place.replaceChildren(note(found.problem || "This image is not on this server."));
  }
  chart.dataset.drawn = "";
}

function drawSafely(chart) {
  return draw(chart).catch((error) => {
    chart.querySelector(".drawing").replaceChildren(note(`This cannot be drawn (${error.message}).`));
  });
}

document.addEventListener("DOMContentLoaded", () => {
  const visible = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) visible.delete(target);
      else if (!visible.has(target)) {
        visible.add(target);
        if (!("asked" in target.dataset)) {
          target.dataset.asked = "";
          drawSafely(target);
        }
      }
    }
  }, { rootMargin: "200px" });
  for (const chart of document.querySelectorAll(".chart")) watcher.observe(chart);
  // While a task runs, it may report something that was not there when the page was opened.
  const newcomers = new MutationObserver((changes) => {
    for (const { addedNodes } of changes) addedNodes.forEach((node) => watcher.observe(node));
  });
  for (const list of document.querySelectorAll("[data-grows]")) newcomers.observe(list, { childList: true });

  const drawn = () => [...visible].filter((chart) => "drawn" in chart.dataset);
  // The colours of a drawing are fixed when it is made.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn().forEach(drawSafely));
  setInterval(() => {
    if (!document.hidden && document.querySelector("main").hasAttribute("data-live")) drawn().forEach(drawSafely);
  }, REDRAW_MILLISECONDS);
});

// Draws charts, tables and images when they scroll into view.
"use strict";

const REDRAW_MILLISECONDS = 5000;
const REPAINT_MILLISECONDS = 120;
const COLOURS = ["#3f7ae0", "#e58a1f", "#2f9e63", "#c5453c", "#8a5fd0", "#12939a", "#b0679c", "#7f8a99"];
const CONFIG = { displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "" };

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Return a figure that the server made with the page's colours in place of such as "var(--text)".
function coloured(figure) {
  return JSON.parse(JSON.stringify(figure), (_, value) => /^var\(--\w+\)$/.test(value) ? colour(value.slice(4, -1)) : value);
}

// Return the figure's own layout with the colours of the page and the size of its frame.
function styled(layout, margin) {
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
    margin: margin ?? { l: 56, r: 20, t: 24, b: 56 },
    template: {
      layout: {
        colorway: COLOURS,
        xaxis: axis,
        yaxis: axis,
        legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      },
      data: { heatmap: [{ colorscale: [[0, colour("--sunk")], [1, "#3f7ae0"]] }] },
    },
  };
}

// How the tools of the page say that scalars shall be drawn.
function look() {
  const { smooth, log, x } = Object.fromEntries(new FormData(document.querySelector("form.tools") ?? undefined));
  return { smooth: Number(smooth), log: Boolean(log), x: x ?? "" };
}

// Return the exponential moving averages, each over the values so far. Gaps stay gaps.
function smoothed(values, weight) {
  let [sum, weights] = [0, 0];
  return values.map((value) => {
    if (!Number.isFinite(value)) return null;
    [sum, weights] = [weight * sum + value, weight * weights + 1];
    return sum / weights;
  });
}

// Return the figure of scalars with smooth lines before faint original ones, and a logarithmic axis.
function tooled({ data, layout }, { smooth, log, x }) {
  const positive = data.some((trace) => trace.y.some((value) => value > 0));
  const title = { text: positive ? "logarithmic, of values above 0" : "not logarithmic: no value is above 0" };
  const yaxis = log ? { title, type: positive ? "log" : "linear" } : {};
  const lines = !smooth ? data : data.flatMap((trace, i) => {
    if (trace.y.length < 2) return [trace];
    const line = { color: COLOURS[i % COLOURS.length], ...trace.line };
    const both = { ...trace, line, marker: { color: line.color }, legendgroup: `${i}` };
    const faint = { ...both, opacity: 0.25, showlegend: false, hoverinfo: "skip" };
    return [faint, { ...both, y: smoothed(trace.y, smooth), mode: "lines" }];
  });
  // While uirevision is the same, new points leave the reader's zoom alone.
  return { data: lines, layout: { ...layout, yaxis, uirevision: `${log}${x}` } };
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
    const shown = look();
    const own = found.margin ? coloured(found.figure) : found.figure;
    const { data, layout } = shown.x ? tooled(own, shown) : own;
    await Plotly.react(place, data, styled(layout, found.margin), CONFIG);
    return;
  }
  Plotly.purge(place);
  place.classList.toggle("fits", Boolean(found.tables));
  if (found.tables) {
    Object.assign(place, { tabIndex: 0, role: "region", ariaLabel: title }); // it may scroll
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
    place.replaceChildren(note(found.text || found.problem || "This image is not on this server."));
  }
}

// Bring the chart up to date. If that fails, the old drawing stays, and the next round tries again.
async function draw(chart) {
  const wanted = JSON.stringify(look());
  const axis = look().x ? `&x=${look().x}` : "";
  const place = chart.querySelector(".drawing");
  const known = chart.dataset.version;
  let found = chart.dataset.figure && JSON.parse(chart.dataset.figure);
  try {
    const query = known === undefined ? "" : `&known=${encodeURIComponent(known)}`;
    found ??= await (await get(chart.dataset.source + query + axis)).json();
  } catch (error) {
    if (known === undefined || error instanceof Gone) await show(place, { problem: error.message });
    chart.toggleAttribute("data-drawn", error instanceof Gone);
    return;
  }
  if (wanted !== JSON.stringify(look())) return; // the tools ask for something else by now
  if (found.version !== known || !chart.answer) chart.answer = found;
  if (found.version !== known || chart.dataset.look !== wanted) {
    chart.dataset.version = found.version;
    chart.dataset.look = wanted;
    try {
      await show(place, chart.answer, chart.querySelector("figcaption").textContent);
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

  let repaint;
  const tools = document.querySelector("form.tools");
  tools?.addEventListener("submit", (event) => event.preventDefault());
  tools?.addEventListener("input", () => {
    tools.querySelector("output").textContent = look().smooth || "none";
    clearTimeout(repaint);
    repaint = setTimeout(() => visible.forEach(draw), REPAINT_MILLISECONDS);
  });

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
  }, 1000 * main().dataset.seconds || REDRAW_MILLISECONDS);
});

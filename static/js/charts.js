// Draws every chart of the page from its JSON. One shared configuration: nothing is ever sent to another host.
"use strict";
(() => {
  const CONFIG = Object.freeze({
    showSendToCloud: false,
    showEditInChartStudio: false,
    plotlyServerURL: "",
    displaylogo: false,
    displayModeBar: false,
    responsive: true,
    locale: "en",
  });
  const MEANINGS = ["training", "inference", "idle", "overhead", "other", "location", "market", "restated", "missing"];

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const coloured = (value, colours) => {
    if (Array.isArray(value)) return value.map((each) => coloured(each, colours));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, each]) =>
        [key, key === "color" && colours[each] ? colours[each] : coloured(each, colours)]));
    }
    return value;
  };

  // A name as plotly takes it: nothing in it is markup; on a narrow screen in two short lines.
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1).trimEnd()}…` : text);
  const short = (text, narrow) => {
    if (!narrow) return plain(cut(text, 44));
    const length = 15;
    const lines = [];
    for (const word of text.split(" ")) {
      const joined = lines.length ? `${lines.at(-1)} ${word}` : word;
      if (lines.length && joined.length <= length) lines[lines.length - 1] = joined;
      else lines.push(word);
    }
    const shown = lines.length > 2 ? [lines[0], cut(`${lines.slice(1).join(" ")}`, length)] : lines;
    return shown.map((each) => plain(cut(each, length))).join("<br>");
  };

  const draw = (chart) => {
    const source = JSON.parse(document.getElementById(chart.dataset.figure).textContent);
    const colours = Object.fromEntries(MEANINGS.map((name) => [name, token(`--data-${name}`)]));
    const [ink, soft, rule, paper] = ["--ink", "--ink-soft", "--rule", "--paper"].map(token);
    const figure = coloured(source, colours);
    for (const trace of figure.data) {
      if (trace.type === "bar") {
        trace.marker.line = { color: paper, width: 0.5 };
        if (trace.marker.pattern) trace.marker.pattern.fgcolor = paper;
        if (trace.text) trace.textfont = { color: ink, size: 12 };
        if (trace.error_x) trace.error_x.color = ink;
        if (trace.hovertext) trace.hovertext = trace.hovertext.map(plain);
      }
    }
    const narrow = innerWidth < 640;
    const axis = { color: soft, gridcolor: rule, zerolinecolor: soft, linecolor: rule, automargin: true, fixedrange: true };
    const names = figure.layout.yaxis.ticktext; // things below each other instead of times beside each other
    if (names) figure.layout.yaxis.ticktext = names.map((name) => `${short(name, narrow)} `);
    const layout = {
      height: narrow ? 240 : 288,
      ...figure.layout,
      font: { family: token("--font"), size: 12, color: ink },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 8, r: names ? 48 : 8, t: names ? 4 : 12, b: 8 },
      hoverlabel: { bgcolor: paper, bordercolor: soft, font: { family: token("--font"), size: 14, color: ink } },
      xaxis: { tickangle: 0, nticks: narrow ? 5 : 14, ...figure.layout.xaxis, ...axis, showgrid: Boolean(names) },
      yaxis: { nticks: 5, tickformat: ",~r", ...figure.layout.yaxis, ...axis, zeroline: !names, showgrid: !names },
    };
    if (names) layout.xaxis = { ...layout.xaxis, tickformat: ",~r", zeroline: true, nticks: narrow ? 4 : 8 };
    layout.yaxis.title = undefined; // the unit stands above the chart, level and readable
    window.Plotly.react(chart, figure.data, layout, { ...CONFIG });
  };

  const show = (box, view) => {
    box.dataset.view = view;
    for (const tab of box.querySelectorAll("[role=tab]")) {
      const selected = tab.dataset.view === view;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
    }
    const chart = box.querySelector(".chart");
    chart.hidden = view !== "chart";
    box.querySelector(".chart-table").hidden = view !== "table";
    if (view === "chart" && window.Plotly) draw(chart);
  };

  const boxes = [...document.querySelectorAll("[data-chart]")];
  for (const box of boxes) {
    const tabs = [...box.querySelectorAll("[role=tab]")];
    for (const tab of tabs) {
      tab.addEventListener("click", () => show(box, tab.dataset.view));
      tab.addEventListener("keydown", (event) => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
        const next = tabs[(tabs.indexOf(tab) + 1) % tabs.length];
        show(box, next.dataset.view);
        next.focus();
        event.preventDefault();
      });
    }
    show(box, "chart");
  }
  // The library is large. Until it is here the tabs work already, and where it never comes the tables stand.
  const library = document.querySelector("script[data-plotly]");
  if (!window.Plotly && library) {
    library.addEventListener("load", () => (window.Plotly ? redraw() : boxes.forEach((box) => show(box, "table"))));
    library.addEventListener("error", () => boxes.forEach((box) => show(box, "table")));
  }
  const redraw = () => {
    for (const box of boxes) if (box.dataset.view === "chart" && window.Plotly) draw(box.querySelector(".chart"));
  };
  addEventListener("schemechange", redraw);
  // Paper is light, whatever the screen is.
  const root = document.documentElement;
  let onScreen;
  addEventListener("beforeprint", () => {
    onScreen = root.dataset.scheme;
    root.dataset.scheme = "light";
    redraw();
  });
  addEventListener("afterprint", () => {
    if (onScreen) root.dataset.scheme = onScreen;
    else delete root.dataset.scheme;
    redraw();
  });
  window.portalCharts = { CONFIG };
})();

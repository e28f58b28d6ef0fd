"use strict";
// What the page does by itself: it draws charts with uPlot, and asks for a view again when the registry says that
// something was recorded. Everything else is done by the server, and put in place by htmx.

const palette = (number) => getComputedStyle(document.documentElement)
  .getPropertyValue(number < 0 ? "--muted" : `--c${number % 14}`).trim();
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const drawn = new Map();

function translucent(colour, alpha) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

function shown(data, value) {
  if (value === null || value === undefined) return "–";
  if (data.shares) return `${(100 * value).toFixed(1)} %`;
  return Number.isInteger(value) ? String(value) : value.toFixed(3);
}

function axes(data) {
  const grid = { stroke: ink("line"), width: 1 };
  const common = { stroke: ink("muted"), ticks: grid, font: "11px system-ui", labelFont: "11px system-ui" };
  const values = (_, ticks) => ticks.map((tick) => (data.shares ? `${Math.round(100 * tick)} %` : `${tick}`));
  return [
    { ...common, grid: { show: false }, label: data.along || "cycle", size: 30, labelSize: 14, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] },
    { ...common, grid, values, label: data.axis, size: 48, labelSize: 16 },
  ];
}

function across(data) {
  const low = data.x[0], high = data.x[data.x.length - 1];
  const room = data.kind === "lines" && high > low ? (high - low) * 0.04 : 0.5;
  return [low - room, high + room];
}

function upward(data) {
  if (data.unit || data.shares) return () => [0, 1.02];
  return (_, low, high) => [0, high > 0 ? high * 1.06 : 1];
}

function markPlugin(marks) {
  return { hooks: { draw: (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = ink("muted");
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.font = `${10 * devicePixelRatio}px system-ui`;
    ctx.textAlign = "right";
    for (const mark of marks || []) {
      const y = plot.valToPos(mark.at, "y", true);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.fillText(mark.label, bbox.left + bbox.width - 4, y - 4 * devicePixelRatio);
    }
    ctx.restore();
  } } };
}

function first(data) {
  return { label: data.along || "cycle", value: (_, value) => (value === null || value === undefined ? "" : value) };
}

function lineSeries(data) {
  const series = [first(data)], columns = [data.x], bands = [];
  for (const line of data.series) {
    const colour = palette(line.colour);
    const behind = line.colour < 0;
    columns.push(line.values);
    series.push({
      label: line.label, stroke: colour, width: behind ? 1.3 : 2, dash: line.dash,
      spanGaps: Boolean(line.gaps), points: { show: line.points !== false, size: 5, fill: colour },
      value: (_, value, __, at) => (at === null ? "" : shown(data, value)),
    });
    if (line.low && line.low.some((value) => value !== null)) {
      columns.push(line.high, line.low);
      const hidden = { stroke: "transparent", width: 0, points: { show: false }, label: "", class: "band" };
      bands.push({ series: [series.length, series.length + 1], fill: translucent(colour, 0.16) });
      series.push({ ...hidden }, { ...hidden });
    }
  }
  return { series, columns, bands };
}

function barSeries(data) {
  const count = data.series.length, series = [first(data)], columns = [data.x];
  let floor = data.x.map(() => 0);
  const sums = data.series.map((part) => (floor = floor.map((under, place) => under + part.values[place])));
  for (const [place, part] of (data.beside ? [...data.series.entries()] : [...data.series.entries()].reverse())) {
    const colour = palette(part.colour);
    columns.push(data.beside ? part.values : sums[place]);
    series.push({
      label: part.label, stroke: colour, fill: translucent(colour, 0.85), width: 0, points: { show: false },
      paths: data.beside ? besidePaths(place, count) : uPlot.paths.bars({ size: [0.72, 60] }),
      value: (_, __, ___, at) => (at === null ? "" : shown(data, part.values[at])),
    });
  }
  return { series, columns, bands: [] };
}

function besidePaths(place, count) {
  return (plot, number) => {
    const path = new Path2D();
    const width = Math.abs(plot.valToPos(1, "x", true) - plot.valToPos(0, "x", true)) * 0.8 / count;
    const zero = plot.valToPos(0, "y", true);
    plot.data[0].forEach((x, at) => {
      const value = plot.data[number][at];
      if (!value) return;
      const left = plot.valToPos(x, "x", true) + (place - count / 2) * width;
      const top = plot.valToPos(value, "y", true);
      path.rect(left, top, width * 0.9, zero - top);
    });
    return { fill: path };
  };
}

function cloudSeries(data) {
  const colour = palette(0);
  const bars = { hooks: { draw: (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.strokeStyle = ink("ink");
    ctx.lineWidth = 2 * devicePixelRatio;
    for (const [cycle, value] of data.medians) {
      const y = plot.valToPos(value, "y", true);
      ctx.beginPath();
      ctx.moveTo(plot.valToPos(cycle - 0.25, "x", true), y);
      ctx.lineTo(plot.valToPos(cycle + 0.25, "x", true), y);
      ctx.stroke();
    }
    ctx.restore();
  } } };
  const dots = { label: "accuracy", stroke: colour, width: 0, paths: () => null,
    points: { show: true, size: 4, width: 0, fill: translucent(colour, 0.55) } };
  return { series: [{ label: "cycle" }, dots], columns: [data.x, data.y], bands: [], plugin: bars };
}

const kinds = { lines: lineSeries, bars: barSeries, cloud: cloudSeries };

function draw(element) {
  const data = JSON.parse(element.dataset.chart);
  if (!data.x.length || !element.clientWidth) return;
  drawn.get(element)?.destroy();
  const { series, columns, bands, plugin } = kinds[data.kind](data);
  const [left, right] = across(data);
  const plugins = [markPlugin(data.marks), ...(plugin ? [plugin] : [])];
  drawn.set(element, new uPlot({
    width: element.clientWidth, height: 240, series, bands, plugins, axes: axes(data),
    scales: { x: { time: false, range: () => [left, right] }, y: { range: upward(data) } },
    legend: { show: data.kind !== "cloud" && data.legend !== false, markers: { fill: (plot, at) => plot.series[at].stroke() } },
    cursor: { y: false, drag: { x: false, y: false } },
  }, columns, element));
}

function drawAll(root) {
  for (const [element, plot] of drawn) if (!element.isConnected) { plot.destroy(); drawn.delete(element); }
  for (const element of root.querySelectorAll("[data-chart]")) draw(element);
}

let source = null;
let wanted = null;

function follow() {
  const element = document.querySelector("[data-live]");
  const address = element ? element.dataset.live : null;
  if (address === wanted) return;
  source?.close();
  source = null;
  wanted = address;
  if (!address) return;
  source = new EventSource(address);
  source.onmessage = () => {
    const now = document.querySelector("[data-live]");
    if (now) htmx.trigger(now, "tick");
  };
}

function busy(form) {
  return form.id === "runs" && form.querySelector("input:checked");
}

document.addEventListener("DOMContentLoaded", () => {
  drawAll(document);
  follow();
  const wrong = document.querySelector(".code .wrong");
  if (wrong) wrong.closest(".code").scrollTop = wrong.offsetTop - 200;
});
document.addEventListener("htmx:afterSettle", () => { drawAll(document); follow(); });
document.addEventListener("htmx:beforeRequest", (event) => {
  if (busy(event.detail.elt)) event.preventDefault();
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});
document.addEventListener("toggle", (event) => {
  if (event.target.open) for (const element of event.target.querySelectorAll("[data-chart]")) draw(element);
}, true);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(document));
let resizing = 0;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => drawAll(document), 150);
});

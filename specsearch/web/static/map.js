"use strict";
// Points in groups of a colour, or with a number each; a click looks the spectrum up.
const data = JSON.parse(document.getElementById("data").textContent);
const place = document.getElementById("map");
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Told apart by people who see few colours (Okabe and Ito, 2008).
const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7a00", "#999999"];

function trace(rows, name, shade) {
  const pick = values => rows.map(i => values[i]);
  const marker = data.number ? {size: 5, color: pick(data.number), colorscale: "Viridis"} : {size: 5, color: shade, opacity: 0.75};
  return {type: "scatter", mode: "markers", x: pick(data.x), y: pick(data.y), text: pick(data.name), customdata: pick(data.id),
    name, marker, hovertemplate: "%{text}<br>%{customdata}<extra></extra>"};
}
// In words: plotly's own scale breaches the policy, and a saved picture needs it, too.
function scale() {
  const known = (data.number || []).filter(value => value !== null);
  if (!known.length) return [];
  const [low, high] = [Math.min(...known), Math.max(...known)].map(value => value.toFixed(2));
  return [{xref: "paper", yref: "paper", x: 0, y: 0, xanchor: "left", yanchor: "bottom", showarrow: false, text: `${low} (dark) to ${high} (bright); grey: unknown`}];
}
function draw() {
  const all = data.x.map((_, i) => i), ink = colour("--text");
  const names = data.group ? [...new Set(data.group)].sort() : ["all"];
  const traces = names.map((name, k) => trace(data.group ? all.filter(i => data.group[i] === name) : all, name, PALETTE[k % PALETTE.length]));
  const axis = {visible: false};
  Plotly.react(place, traces, {margin: {l: 0, r: 0, t: 0, b: 0}, paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: {color: ink},
    xaxis: axis, yaxis: {...axis, scaleanchor: "x"}, hovermode: "closest", dragmode: "pan", showlegend: !!data.group, legend: {orientation: "h"}, annotations: scale()},
    {responsive: true, displaylogo: false, scrollZoom: true, modeBarButtonsToRemove: ["select2d", "lasso2d"],
      toImageButtonOptions: {format: "svg", filename: "map"}});
}
draw();
place.on("plotly_click", event => { location.href = `/search?${new URLSearchParams({id: event.points[0].customdata})}`; });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

"use strict";
// The plot beside a list: query above, the chosen hit below, or the query with a candidate's fragments.
const block = document.getElementById("data");
if (block) {
  const data = JSON.parse(block.textContent);
  const plot = document.getElementById("plot");
  const items = [...document.querySelectorAll("[data-item]")];
  const details = [...document.querySelectorAll("[data-detail]")];
  const panel = document.querySelector(".panel"), narrow = matchMedia("(max-width: 56rem)");
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function bars(spectrum, kinds, kind, name, shade, sign, ions) {
    const x = [], y = [], text = [];
    spectrum.mz.forEach((mz, i) => {
      if ((kinds.get(i) || "plain") !== kind) return;
      const loss = spectrum.precursor_mz ? `<br>loss ${(spectrum.precursor_mz - mz).toFixed(4)}` : "";
      const label = `m/z ${mz.toFixed(4)}, ${spectrum.intensity[i].toFixed(1)} %${loss}${ions && ions[i] ? `<br>${ions[i]}` : ""}`;
      x.push(mz, mz, null); y.push(0, sign * spectrum.intensity[i], null); text.push(label, label, null);
    });
    return {type: "scatter", mode: "lines", x, y, text, name, hoverinfo: "text", line: {color: shade, width: 1.6}, showlegend: false};
  }
  function labels(spectrum, sign, ions) {
    const order = [...spectrum.mz.keys()].sort((i, j) => spectrum.intensity[j] - spectrum.intensity[i]);
    const span = Math.max(...spectrum.mz) - Math.min(...spectrum.mz) || 1, chosen = [], gap = span * 62 / Math.max(200, plot.clientWidth);
    for (const i of order) {
      if (chosen.length === 7) break;
      if (chosen.every(j => Math.abs(spectrum.mz[i] - spectrum.mz[j]) > gap)) chosen.push(i);
    }
    return chosen.map(i => ({x: spectrum.mz[i], y: sign * spectrum.intensity[i], showarrow: false, yshift: sign * (ions && ions[i] ? 15 : 9),
      text: spectrum.mz[i].toFixed(4) + (ions && ions[i] ? `<br>${ions[i]}` : ""), font: {size: 10}}));
  }
  function draw(which) {
    if (!window.Plotly) return;
    const other = data.others[which], top = new Map(), bottom = new Map();
    for (const [one, two, shifted] of other.pairs || []) { top.set(one, shifted ? "shifted" : "direct"); bottom.set(two, shifted ? "shifted" : "direct"); }
    for (const i of Object.keys(other.ions || {})) top.set(Number(i), "direct");
    const shades = [["plain", "#8894a0"], ["direct", colour("--accent")], ["shifted", colour("--shift")]];
    const traces = shades.map(([kind, shade]) => bars(data.query, top, kind, data.query.title, shade, 1, other.ions));
    if (other.mz) traces.push(...shades.map(([kind, shade]) => bars(other, bottom, kind, other.title, shade, -1)));
    const ink = colour("--text"), axis = {color: ink, gridcolor: colour("--line"), zerolinecolor: ink};
    Plotly.react(plot, traces, {
      margin: {l: 42, r: 8, t: 8, b: 36}, paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: {color: ink, size: 11},
      hovermode: "closest", dragmode: "zoom", xaxis: {...axis, title: {text: "m/z"}, showgrid: false, zeroline: false},
      yaxis: {...axis, title: {text: "% of base peak"}, range: other.mz ? [-118, 118] : [0, 122], tickvals: [-100, -50, 0, 50, 100], ticktext: ["100", "50", "0", "50", "100"], fixedrange: true},
      annotations: [...labels(data.query, 1, other.ions), ...(other.mz ? labels(other, -1) : [])],
    }, {responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      toImageButtonOptions: {format: "svg", filename: "mirror"}});
  }
  function choose(which) {
    items.forEach((item, i) => i === which ? item.setAttribute("aria-current", "true") : item.removeAttribute("aria-current"));
    details.forEach((detail, i) => { detail.hidden = i !== which; });
    // On a narrow page it opens below what was chosen, not behind the end of the list.
    (narrow.matches ? items[which].parentElement : document.querySelector(".split")).append(panel);
    draw(which);
  }
  function fromAddress() {
    const found = items.findIndex(item => item.getAttribute("href") === location.hash);
    choose(Math.max(0, found));
  }
  items.forEach((item, i) => {
    item.addEventListener("click", event => { event.preventDefault(); history.replaceState(null, "", item.getAttribute("href")); choose(i); });
    item.addEventListener("keydown", event => {
      const next = event.key === "ArrowDown" ? items[i + 1] : event.key === "ArrowUp" ? items[i - 1] : null;
      if (next) { event.preventDefault(); next.focus(); next.click(); }
    });
  });
  window.addEventListener("hashchange", fromAddress);
  narrow.addEventListener("change", fromAddress);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", fromAddress);
  fromAddress();
}

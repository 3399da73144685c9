"use strict";
// Everything shown goes through textContent or attributes; drawings are images, where nothing runs.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const network = document.getElementById("network");
const detail = document.getElementById("detail");
// As large as on the page, so that text keeps its size.
const WIDTH = Math.max(320, network.clientWidth), HEIGHT = Math.max(280, network.clientHeight), MARGIN = 36, MOST_NAMED = 14;
const KINDS = {start: "the start", known: "known", suggested: "suggested", unknown: "unknown"};

function svg(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}
function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}
function scale(values, size) {
  const low = Math.min(...values), range = Math.max(...values) - low;
  return value => (range ? MARGIN + (value - low) / range * (size - 2 * MARGIN) : size / 2);
}
function kind(node) {
  if (node.row.hop === 0) return "start";
  return node.row.smiles ? "known" : node.is_suggestion ? "suggested" : "unknown";
}
const picture = node => "data:image/svg+xml;charset=utf-8," + encodeURIComponent(data.drawings[node.drawing]);
const name = node => node.row.compound_name || node.row.spectrum_id;
// What the other end has more or less than the one it is seen from.
function step(edge, from) {
  if (edge.precursor_difference === undefined) return "";
  const [change, difference] = edge.a === from ? [edge.change, edge.precursor_difference] : [edge.change_back, -edge.precursor_difference];
  return change || `${difference < 0 ? "-" : "+"}${Math.abs(difference).toFixed(4)} Da`;
}
const between = edge => `from ${name(data.nodes[edge.a])} to ${name(data.nodes[edge.b])}: ${step(edge, edge.a) || "difference unknown"}`;

function drawNetwork() {
  network.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const x = scale(data.nodes.map(n => n.x), WIDTH), y = scale(data.nodes.map(n => n.y), HEIGHT);
  for (const edge of data.edges) {
    const a = data.nodes[edge.a], b = data.nodes[edge.b];
    edge.line = svg("line", {class: "edge", x1: x(a.x), y1: y(a.y), x2: x(b.x), y2: y(b.y),
      "stroke-width": 0.5 + 5 * Math.max(0, edge.score) ** 2}, network);
    svg("title", {}, edge.line).textContent = `${between(edge)}  score ${edge.score}`;
    edge.line.addEventListener("click", () => showEdge(edge));
  }
  data.nodes.forEach((node, i) => {
    node.dot = svg("circle", {class: `node ${kind(node)}`, cx: x(node.x), cy: y(node.y), r: node.row.hop === 0 ? 9 : 6.5,
      tabindex: -1, role: "button", "aria-label": name(node)}, network);
    svg("title", {}, node.dot).textContent = name(node);
    node.dot.addEventListener("click", () => showNode(i));
    node.dot.addEventListener("keydown", event => walk(event, i, other => other.dot));
  });
  nameNodes(data.nodes.map(node => ({x: x(node.x) - 8, y: y(node.y) - 8, width: 16, height: 16})));
}
// Of several spectra of one molecule the nearest bears the structure and the name, where there is room.
function nameNodes(dots) {
  const named = new Set(), taken = [...dots, legend()];
  data.nodes.forEach((node, i) => {
    const molecule = node.row.inchikey14 || node.row.spectrum_id;
    if (named.has(molecule) || named.size >= MOST_NAMED) return;
    const text = name(node).slice(0, 24), x = dots[i].x + 8, y = dots[i].y + 8;
    const size = node.drawing < 0 ? {width: 7 * text.length, height: 18} : {width: Math.max(96, 7 * text.length), height: 82};
    const box = placeFor(size, x, y, taken);
    if (!box) return;
    named.add(molecule);
    taken.push(box);
    caption(node, text, box, x, y);
  });
}
function placeFor({width, height}, x, y, taken) {
  for (const away of [10, 30, 60, 100, 150, 200]) for (let step = 0; step < 16; step++) {
    const angle = step * Math.PI / 8, [right, down] = [Math.cos(angle), Math.sin(angle)];
    // The box touches the node's circle of this radius with its nearest side or corner.
    const box = {x: x + away * right + (right - 1) / 2 * width, y: y + away * down + (down - 1) / 2 * height, width, height};
    const isInside = box.x >= 4 && box.y >= 4 && box.x + width <= WIDTH - 4 && box.y + height <= HEIGHT - 4;
    if (isInside && !taken.some(other => meet(box, other))) return box;
  }
}
function meet(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
function caption(node, text, {x, y, width, height}, atX, atY) {
  const group = svg("g", {class: "caption"}, network), middle = x + width / 2;
  const nearX = Math.min(Math.max(atX, x), x + width), nearY = Math.min(Math.max(atY, y), y + height);
  if (Math.hypot(nearX - atX, nearY - atY) > 20) svg("line", {class: "leader", x1: atX, y1: atY, x2: nearX, y2: nearY}, group);
  if (node.drawing >= 0) svg("image", {x: middle - 48, y, width: 96, height: 64, href: picture(node)}, group);
  svg("text", {class: "label", x: middle, y: y + height - 5, "text-anchor": "middle"}, group).textContent = text;
}
function legend() {
  const there = Object.keys(KINDS).filter(one => data.nodes.some(node => kind(node) === one));
  there.forEach((one, i) => {
    const y = HEIGHT - 14 - 20 * (there.length - 1 - i);
    svg("circle", {class: `node ${one}`, cx: 16, cy: y, r: 6}, network);
    svg("text", {class: "label", x: 28, y: y + 4}, network).textContent = KINDS[one];
  });
  return {x: 0, y: HEIGHT - 20 * there.length - 10, width: 110, height: 20 * there.length + 10};
}
// One stop for the tab key in the network and one in the list; the arrow keys go on from there.
function walk(event, i, part) {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); showNode(i); }
  const next = data.nodes[i + ({ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1}[event.key] ?? NaN)];
  if (next) { event.preventDefault(); showNode(data.nodes.indexOf(next)); part(next).focus(); }
}
function choose(what) {
  document.querySelectorAll(".chosen").forEach(one => one.classList.remove("chosen"));
  what.classList.add("chosen");
  detail.replaceChildren();
}
function structure(node, parent) {
  if (node.drawing < 0) return;
  const image = element("img", undefined, parent);
  image.className = "structure";
  image.alt = `structure of ${name(node)}${node.is_suggestion ? ", suggested by a neighbour" : ""}`;
  image.src = picture(node);
}
function facts(values, parent) {
  const list = element("dl", undefined, parent);
  for (const [key, value] of values) { element("dt", key.replaceAll("_", " "), list); element("dd", String(value), list); }
}
function showNode(i) {
  const node = data.nodes[i];
  choose(node.dot);
  data.nodes.forEach((other, j) => {
    other.listed.setAttribute("aria-selected", i === j);
    for (const part of [other.dot, other.listed]) part.setAttribute("tabindex", i === j ? 0 : -1);
  });
  element("h2", name(node), detail);
  structure(node, detail);
  if (node.is_suggestion) element("p", "Not known: this is the structure of its nearest annotated neighbour, and not more than a suggestion.", detail).className = "note";
  spectrum(node, null, [], detail);
  if (data.walks && !node.row.spectrum_id.startsWith("query::")) onward(node.row.spectrum_id, detail);
  facts(Object.entries(node.row), detail);
  const beside = data.edges.filter(e => e.a === i || e.b === i).slice(0, 12);
  if (!beside.length) return;
  element("h2", "Against its neighbours", detail);
  for (const edge of beside) {
    const other = data.nodes[edge.a === i ? edge.b : edge.a];
    const button = element("button", `${name(other).slice(0, 40)}  ${step(edge, i)}  ${edge.score}`, detail);
    button.addEventListener("click", () => showEdge(edge));
  }
}
// Where a server answers, one can walk on from here.
function onward(id, parent) {
  const links = element("p", undefined, parent);
  links.className = "onward";
  for (const [page, text] of [["family", "Its family"], ["search", "What looks like it"]]) {
    const link = element("a", text, links);
    link.href = `/${page}?${new URLSearchParams({id})}`;
  }
}
function showEdge(edge) {
  const a = data.nodes[edge.a], b = data.nodes[edge.b];
  choose(edge.line);
  element("h2", `${name(a)} and ${name(b)}`, detail);
  const pair = element("div", undefined, detail);
  pair.className = "pair";
  structure(a, pair);
  structure(b, pair);
  spectrum(a, b, edge.pairs, detail);
  element("p", "Blue: matched. Orange: matched when shifted by the difference of the precursors.", detail).className = "note";
  element("p", between(edge), detail);
  const {line, pairs, a: _a, b: _b, change: _c, change_back: _back, ...scores} = edge;
  facts(Object.entries(scores), detail);
}
function spectrum(top, bottom, pairs, parent) {
  if (!top.mz.length) return;
  const height = bottom ? 260 : 150, middle = bottom ? 125 : 125, width = 420;
  const all = bottom ? top.mz.concat(bottom.mz) : top.mz;
  const low = Math.min(...all) - 5, high = Math.max(...all) + 5;
  const x = mz => 25 + (mz - low) / (high - low) * (width - 50);
  const plot = svg("svg", {viewBox: `0 0 ${width} ${height}`, width: "100%", role: "img",
    "aria-label": bottom ? "mirror plot" : "spectrum"}, parent);
  const kinds = [new Map(), new Map()];
  for (const [one, other, shifted] of pairs) {
    kinds[0].set(one, shifted ? "shifted" : "direct");
    kinds[1].set(other, shifted ? "shifted" : "direct");
  }
  [top, bottom].forEach((node, side) => {
    if (!node) return;
    const sign = side ? 1 : -1;
    node.mz.forEach((mz, i) => {
      const at = x(mz), line = svg("line", {class: `peak ${bottom ? kinds[side].get(i) || "" : "direct"}`,
        x1: at, x2: at, y1: middle, y2: middle + sign * 100 * node.intensity[i]}, plot);
      svg("title", {}, line).textContent = `m/z ${mz}, ${node.intensity[i]}`;
    });
    const strongest = [];
    for (const i of [...node.mz.keys()].sort((i, j) => node.intensity[j] - node.intensity[i])) {
      if (strongest.length < 3 && strongest.every(j => Math.abs(x(node.mz[i]) - x(node.mz[j])) > 50)) strongest.push(i);
    }
    for (const i of strongest) svg("text", {class: "label", x: x(node.mz[i]), "text-anchor": "middle",
      y: middle + sign * (100 * node.intensity[i] + (side ? 12 : 4))}, plot).textContent = node.mz[i].toFixed(3);
  });
  svg("line", {class: "axis", x1: 10, x2: width - 10, y1: middle, y2: middle}, plot);
}
function listMembers() {
  const table = element("table", undefined, document.getElementById("members"));
  const head = element("tr", undefined, element("thead", undefined, table));
  const columns = ["compound_name", "spectrum_id", "hop", "path_score", "precursor_mz", "adduct", "formula"];
  for (const column of columns) element("th", column.replaceAll("_", " "), head).scope = "col";
  const body = element("tbody", undefined, table);
  data.nodes.forEach((node, i) => {
    const row = element("tr", undefined, body);
    node.listed = row;
    for (const column of columns) element("td", node.row[column] ?? "", row);
    row.addEventListener("click", () => showNode(i));
    row.addEventListener("keydown", event => walk(event, i, other => other.listed));
  });
}
// The network as it looks now, with its colours in it instead of a style sheet beside it.
const KEPT = ["fill", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "paint-order", "opacity", "filter", "font-family", "font-size"];
function asFile() {
  const copy = network.cloneNode(true), shown = [...network.children];
  [...copy.children].forEach((part, i) => bear(part, shown[i]));
  const paper = getComputedStyle(document.documentElement).getPropertyValue("--paper").trim();
  copy.prepend(svg("rect", {width: WIDTH, height: HEIGHT, fill: paper}));
  for (const [key, value] of Object.entries({xmlns: SVG, width: WIDTH, height: HEIGHT})) copy.setAttribute(key, value);
  return new Blob([new XMLSerializer().serializeToString(copy)], {type: "image/svg+xml"});
}
function bear(part, shown) {
  const style = getComputedStyle(shown);
  for (const name of KEPT) part.setAttribute(name, style.getPropertyValue(name));
  for (const name of ["class", "role", "tabindex"]) part.removeAttribute(name);
  [...part.children].forEach((child, i) => bear(child, shown.children[i]));
}
function offerFile() {
  const place = document.querySelector(".downloads") || document.querySelector("header p");
  const link = element("a", "SVG");
  place.insertBefore(link, place.querySelector("button"));
  Object.assign(link, {href: "#", download: "family.svg"});
  link.addEventListener("click", () => { link.href = URL.createObjectURL(asFile()); });
}
drawNetwork();
listMembers();
offerFile();
if (data.nodes.length) showNode(0);

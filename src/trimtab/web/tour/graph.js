// The object graph: a tree of the shortest paths from the root, laid out left to right, opened as far as one asks.
// What the tree cannot show (captures, further parents) is drawn as dashed arcs between nodes that are in sight.
const ROW = 46, HEIGHT = 36, GAP = 52, MARGIN = 24, BATCH = 24, FEW = 4, MAX_ARCS = 12;
const SVG = "http://www.w3.org/2000/svg";
let parents, branches;

const spanTree = () => {
  parents = new Array(drawn.objects.length).fill(-1);
  branches = drawn.objects.map(() => []);
  const seen = new Set([0]);
  const walk = (waiting) => {
    for (let at = 0; at < waiting.length; at += 1)
      for (const [name, child] of drawn.objects[waiting[at]].children)
        if (!seen.has(child)) {
          seen.add(child);
          parents[child] = waiting[at];
          branches[waiting[at]].push([name, child]);
          waiting.push(child);
        }
  };
  if (drawn.objects.length) walk([0]);
};

const ancestors = (id) => {
  const found = [];
  for (let at = parents[id]; at >= 0; at = parents[at]) found.push(at);
  return found;
};
const reveal = (id, most) => {
  for (const each of ancestors(id)) {
    if (most && !state.open.has(each)) state.shown.set(each, most);
    state.open.add(each);
  }
};

// The children of an open node that are in sight: the first ones, those of the chain, and the one selected.
const inSight = (id) => {
  const most = state.shown.get(id) || BATCH;
  const needed = new Set([...litNodes, ...(state.chosen && state.chosen.node !== undefined ? [state.chosen.node] : [])]
    .flatMap((each) => [each, ...ancestors(each)]));
  const wanted = branches[id].filter(([, child]) => needed.has(child) || shows(child));
  const first = wanted.filter(([, child], at) => at < most || needed.has(child));
  return { first, more: wanted.length - first.length };
};
const shows = (id) => state.kinds.has(drawn.objects[id].kind) || branches[id].some(([, child]) => shows(child));

const pen = document.createElement("canvas").getContext("2d");
const widths = new Map();
const widthOf = (text, font) => {
  const key = font + text;
  if (!widths.has(key)) { pen.font = font; widths.set(key, pen.measureText(text).width); }
  return widths.get(key);
};
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

const item = (id, name, depth) => {
  const object = drawn.objects[id];
  const shown = cut(name, 40), label = cut(object.label || kindOf(object)[2], 44);
  const width = 38 + Math.max(widthOf(shown, "600 12.5px system-ui"), widthOf(label, "11px monospace")) + 16;
  return { id, name: shown, full: name, label, depth, width, y: 0, children: [] };
};

const layout = () => {
  const rows = [], columns = [];
  let row = 0;
  const place = (id, name, depth) => {
    const made = item(id, name, depth);
    columns[depth] = Math.max(columns[depth] || 0, made.width);
    rows.push(made);
    if (state.open.has(id)) {
      const { first, more } = inSight(id);
      made.children = first.map(([local, child]) => place(child, local, depth + 1));
      if (more) {
        const rest = { more, of: id, depth: depth + 1, width: 150, name: `${more} more…`, y: row, children: [] };
        row += 1;
        columns[depth + 1] = Math.max(columns[depth + 1] || 0, rest.width);
        rows.push(rest);
        made.children.push(rest);
      }
    }
    if (made.children.length) made.y = (made.children[0].y + made.children.at(-1).y) / 2;
    else { made.y = row; row += 1; }
    return made;
  };
  place(0, "root", 0);
  for (const id of litNodes.size || state.chosen ? drawn.objects.keys() : [])
    if (id && parents[id] < 0 && (litNodes.has(id) || (state.chosen && state.chosen.node === id))) place(id, `nodes[${id}]`, 0);
  const lefts = columns.reduce((all, width, at) => [...all, all[at] + width + GAP], [MARGIN]);
  for (const each of rows) { each.x = lefts[each.depth]; each.top = MARGIN + each.y * ROW; }
  return { rows, width: (lefts.at(-1) || 0) + MARGIN + 30, height: row * ROW + 2 * MARGIN };
};

const shape = (tag, properties, ...children) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

let focused = 0;
const drawGraph = ({ follow = false } = {}) => {
  const box = byId("graph");
  byId("graph-hint").hidden = !drawn.objects.length;
  if (!drawn.objects.length) {
    const reason = story.tf2 ? "The object graph is empty." : "A TF1 graph has no objects: its signatures feed and fetch nodes of the graph directly.";
    return box.replaceChildren(element("p", {}, reason));
  }
  const held = box.contains(document.activeElement);
  const { rows, width, height } = layout();
  const at = new Map(rows.filter((each) => each.id !== undefined).map((each) => [each.id, each]));
  if (!at.has(focused)) focused = state.chosen && at.has(state.chosen.node) ? state.chosen.node : 0;
  const lit = new Set([...litNodes].flatMap((id) => [id, ...ancestors(id)]));
  const svg = shape("svg", { width, height, role: "tree", "aria-label": "Objects by their shortest path from the root" },
    shape("defs", {}, shape("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" },
      shape("path", { class: "arrow", d: "M0 0L8 4L0 8z" }))),
    ...rows.flatMap((each) => each.children.map((child) => edge(each, child, litNodes.size && lit.has(child.id)))),
    ...arcs(at),
    ...rows.map((each) => (each.more ? moreNode(each) : nodeShape(each, lit))));
  const { scrollLeft, scrollTop } = box;
  box.replaceChildren(svg);
  box.scrollTo(scrollLeft, scrollTop);
  if (held) focusNode(focused, { preventScroll: true });
  const target = state.chosen && at.get(state.chosen.node);
  if (target && (follow || !scrollTop)) keepInSight(box, target);
};

const keepInSight = (box, target) => {
  const seenX = target.x >= box.scrollLeft && target.x + target.width <= box.scrollLeft + box.clientWidth;
  const seenY = target.top >= box.scrollTop && target.top + ROW <= box.scrollTop + box.clientHeight;
  box.scrollTo(seenX ? box.scrollLeft : target.x + target.width - box.clientWidth + 80, seenY ? box.scrollTop : target.top - box.clientHeight / 2);
};

const edge = (from, to, lit) => {
  const startX = from.x + from.width, startY = from.top + HEIGHT / 2, endX = to.x, endY = to.top + HEIGHT / 2;
  const middle = endX - GAP / 2;
  return shape("path", { class: lit ? "edge lit" : "edge", d: `M${startX} ${startY}H${middle - 8}C${middle + 8} ${startY} ${middle - 8} ${endY} ${endX} ${endY}` });
};

// Arcs of the chain, from one step's node to the next; then those of the selected node; then, while few, all captures.
const arcs = (at) => {
  const pairsOf = new Map();
  const add = (from, to, lit) => {
    const key = `${from} ${to}`;
    if (from !== to && at.has(from) && at.has(to) && parents[to] !== from && !pairsOf.has(key)) pairsOf.set(key, [from, to, lit]);
  };
  const steps = [...new Set(litNumbers.values())].sort((one, other) => one - other);
  steps.slice(1).forEach((number, before) => {
    for (const [from, own] of litNumbers) if (own === steps[before]) for (const [to, next] of litNumbers) if (next === number) add(from, to, true);
  });
  const around = (id) => {
    for (const each of drawn.objects[id].captures) if (!litNodes.has(id) || !litNodes.has(each)) add(id, each, false);
    for (const [, child] of drawn.objects[id].children) add(id, child, false);
  };
  if (state.chosen && drawn.objects[state.chosen.node]) around(state.chosen.node);
  if (state.chosen && state.chosen.node !== undefined) for (const id of at.keys()) if (drawn.objects[id].captures.includes(state.chosen.node)) add(id, state.chosen.node, false);
  const others = [...at.keys()].filter((id) => drawn.objects[id].kind === "function").flatMap((id) => drawn.objects[id].captures.map((each) => [id, each]));
  if (others.length <= MAX_ARCS) for (const [from, to] of others) add(from, to, false);
  return [...pairsOf.values()].map(([from, to, lit]) => arc(at.get(from), at.get(to), lit));
};

const arc = (from, to, lit) => {
  const startX = from.x + from.width, startY = from.top + HEIGHT / 2 - 5, endX = to.x + to.width + 3, endY = to.top + HEIGHT / 2 + (from.top < to.top ? -5 : 5);
  const reach = Math.max(startX, endX) + Math.min(90, 26 + Math.abs(startY - endY) / 5);
  return shape("path", { class: lit ? "arc lit" : "arc", d: `M${startX} ${startY}C${reach} ${startY} ${reach} ${endY} ${endX} ${endY}`, "marker-end": lit ? "url(#arrow)" : undefined });
};

const nodeShape = (each, lit) => {
  const object = drawn.objects[each.id];
  const [letter, tone, kind] = kindOf(object);
  const open = state.open.has(each.id), inner = branches[each.id].length, middle = HEIGHT / 2;
  const marks = ["node", litNodes.has(each.id) && "lit", state.chosen && state.chosen.node === each.id && "chosen"].filter(Boolean).join(" ");
  const group = shape("g", {
    class: marks, transform: `translate(${each.x} ${each.top})`, style: `--tone: var(--${tone})`, "data-node": each.id, role: "treeitem",
    tabindex: each.id === focused ? 0 : -1, "aria-level": each.depth + 1, "aria-expanded": inner ? String(open) : undefined,
    "aria-selected": String(Boolean(state.chosen && state.chosen.node === each.id)), "aria-label": `${each.full}, ${kind} ${each.label}`,
  },
    shape("rect", { class: "box", width: each.width, height: HEIGHT, rx: 8 }),
    shape("circle", { class: "dot", cx: 19, cy: middle, r: 10 }), textAt("letter", 19, middle + 4, letter),
    textAt("name", 37, 15, each.name), textAt("label", 37, 29, each.label), shape("title", {}, `${shortPath(object.path) || each.full}\n${object.where}`));
  if (inner) {
    const fold = shape("g", { transform: `translate(${each.width} ${middle})` }, shape("circle", { class: "fold", r: 8 }), textAt("fold-sign", 0, 4, open ? "−" : "+"));
    fold.addEventListener("click", (event) => { event.stopPropagation(); toggle(each.id); });
    group.append(fold);
  }
  if (litNumbers.has(each.id)) group.append(shape("circle", { class: "badge", cx: 2, cy: 2, r: 8 }), textAt("badge-text", 2, 5.5, String(litNumbers.get(each.id))));
  group.addEventListener("click", () => { focused = each.id; select({ node: each.id }, { quiet: true }); });
  group.addEventListener("dblclick", () => toggle(each.id));
  return group;
};

const textAt = (name, x, y, text) => shape("text", { class: name, x, y }, text);

const moreNode = (each) => {
  const show = () => { state.shown.set(each.of, (state.shown.get(each.of) || BATCH) + 4 * BATCH); drawGraph(); };
  const group = shape("g", { class: "node", transform: `translate(${each.x} ${each.top})`, tabindex: 0, role: "button", "aria-label": `Show ${each.more} more` },
    shape("rect", { class: "box", width: each.width, height: HEIGHT, rx: 8 }), textAt("name", 14, 23, each.name));
  group.addEventListener("click", show);
  group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); show(); } });
  return group;
};

const toggle = (id) => {
  state.shown.delete(id);
  if (!state.open.delete(id)) state.open.add(id);
  drawGraph();
};

const focusNode = (id, options = {}) => {
  const found = byId("graph").querySelector(`[data-node="${id}"]`);
  if (!found) return;
  for (const each of byId("graph").querySelectorAll("[data-node]")) each.setAttribute("tabindex", each === found ? 0 : -1);
  focused = id;
  found.focus(options);
};

byId("graph").addEventListener("keydown", (event) => {
  const own = event.target.closest("[data-node]");
  if (!own) return;
  const id = Number(own.dataset.node);
  const order = [...byId("graph").querySelectorAll("[data-node]")].map((each) => Number(each.dataset.node));
  const opens = branches[id].length > 0, open = state.open.has(id);
  const act = {
    ArrowDown: () => focusNode(order[order.indexOf(id) + 1]),
    ArrowUp: () => focusNode(order[order.indexOf(id) - 1]),
    ArrowRight: () => (opens && !open ? toggle(id) : opens && focusNode(inSight(id).first[0][1])),
    ArrowLeft: () => (opens && open ? toggle(id) : parents[id] >= 0 && focusNode(parents[id])),
    Home: () => focusNode(0),
    Enter: () => select({ node: id }),
    " ": () => opens && toggle(id),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

const showLegend = () => {
  const numbers = new Map();
  for (const each of drawn.objects) numbers.set(each.kind, (numbers.get(each.kind) || 0) + 1);
  byId("legend").replaceChildren(...[...numbers].map(([kind, number]) => {
    const button = element("button", { type: "button", "aria-pressed": "true", title: "Show or hide" }, dot(kind), `${kindOf({ kind })[2]} ${number.toLocaleString("en")}`);
    button.addEventListener("click", () => {
      if (!state.kinds.delete(kind)) state.kinds.add(kind);
      button.setAttribute("aria-pressed", String(state.kinds.has(kind)));
      drawGraph();
    });
    return element("li", {}, button);
  }));
};

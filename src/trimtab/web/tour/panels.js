// The panels around the graph: entry points, the chain, the copies, the details, the search.
const dot = (kind) => {
  const [letter, tone, name] = kindOf({ kind });
  return element("span", { class: "dot", style: `--tone: var(--${tone})`, title: name, "aria-hidden": "true" }, letter);
};

const showHeader = () => {
  byId("title").textContent = tour.file.split("/").slice(-3).join("/");
  byId("title").title = tour.file;
  const parts = [
    `tags ${(story.tags || []).join(", ") || "(none)"}`,
    `TensorFlow ${story.tensorflow_version || "(unknown)"}`,
    story.tf2 ? "TF2" : "TF1 style, a graph without objects",
    story.made_by,
    counted(drawn.objects.length, "object"), counted(drawn.functions.length, "FunctionDef"),
    counted(story.graph_nodes || 0, "graph node"), `${tour.size.toLocaleString("en")} bytes`,
    story.init_op && `init op: ${story.init_op.title}`,
    story.assets && `assets: ${story.assets.join(", ")}`,
    ...(story.collections || []).map((each) => `collection ${each.name}: ${(each.items || []).slice(0, 3).join(", ") || each.size}`),
  ];
  byId("facts").textContent = parts.filter(Boolean).join(" · ");
};

const call = (values) => `(${(values || []).map((each) => `${each.name}: ${each.type}`).join(", ")})`;
const disagrees = (signature) => (signature.declared || []).some((each) => each.differences);

const showEntries = () => {
  const signatures = (story.signatures || []).map((signature) => element("li", {},
    element("button", { class: "entry", type: "button", "data-key": signature.key, onclick: () => chooseSignature(signature) },
      soft(signature.key), element("small", {}, (signature.served_by || []).join(", ") || "served by nobody"),
      disagrees(signature) ? element("small", { class: "bad" }, "the copies disagree") : null)));
  byId("signatures").replaceChildren(...(signatures.length ? signatures : [element("li", { class: "hint" }, "none")]));
  const functions = (story.functions || []).map((each) => element("li", {}, functionEntry(each)));
  byId("functions").replaceChildren(...(functions.length ? functions : [element("li", { class: "hint" }, "none")]));
};

const argument = (value) =>
  /^(['"\-0-9]|tensor\(|True$|False$|None$|nan$|inf$)/.test(value.type) ? `${value.name}=${value.type}` : `${value.name}: ${value.type}`;

const functionEntry = (traced) => {
  const traces = traced.traces || [];
  const rows = traces.map((trace, at) => element("li", {},
    element("button", { class: "entry", type: "button", onclick: () => { chooseFunction(traced); select({ function: trace.name }); } },
      `${at + 1}. (${(trace.arguments || []).map(argument).join(", ")})`,
      element("small", {}, trace.problem || `returns ${trace.result}`))));
  return element("details", {},
    element("summary", {}, soft(`${traced.path}${traced.parameters} `), element("small", {}, traces.length ? counted(traces.length, "trace") : "untraced")),
    element("button", { class: "entry", type: "button", "data-path": traced.path, onclick: () => chooseFunction(traced) }, "Show in the graph"),
    element("ol", { class: "traces" }, ...rows));
};

const markEntries = () => {
  for (const button of document.querySelectorAll("[data-key]"))
    button.setAttribute("aria-pressed", String(state.signature !== null && button.dataset.key === state.signature.key));
  for (const button of document.querySelectorAll("[data-path]"))
    button.setAttribute("aria-pressed", String(state.traced !== null && button.dataset.path === state.traced.path));
};

const showChain = () => {
  const { signature, traced } = state;
  byId("chain-title").textContent = signature ? `Signature "${signature.key}"` : traced ? `Function ${traced.path}` : "No entry points";
  byId("chain-call").textContent = signature ? `${call(signature.inputs)} → ${call(signature.outputs)}`
    : traced ? `${traced.path}${traced.parameters}` : "This MetaGraph has no signatures and no functions.";
  const steps = signature ? signature.steps || [] : traced ? functionSteps(traced) : [];
  const groups = [];
  for (const { step, number } of numbered(steps)) {
    if (groups.length && groups.at(-1).number === number) groups.at(-1).steps.push(step);
    else groups.push({ number, steps: [step] });
  }
  byId("steps").replaceChildren(...groups.map(card));
  byId("copies").replaceChildren(...(signature && signature.declared ? [copies(signature.declared)] : []));
};

const functionSteps = (traced) => [
  { place: "SavedFunction", where: traced.where, title: `${traced.path}${traced.parameters}`, node_id: traced.node_id,
    facts: [
      ...(traced.input_signature ? [`input_signature (${traced.input_signature.join(", ")})`] : []),
      ...(traced.jit_compile === undefined ? [] : [`jit_compile=${traced.jit_compile}`]),
      ...(traced.signatures ? [`run by ${traced.signatures.join(", ")}`] : []),
      ...(traced.traces ? [] : ["untraced: it cannot be called"])] },
  ...(traced.traces || []).map((trace, at) => ({
    place: "SavedConcreteFunction", where: trace.where, title: `trace ${at + 1}: ${trace.name}`, function: trace.name,
    facts: [`takes (${(trace.arguments || []).map(argument).join(", ")})`, `returns ${trace.result}`] })),
  ...unique((traced.traces || []).flatMap((trace) => trace.captures || [])).map((held) => ({
    place: "capture", where: held.where, title: `${held.path}: ${held.kind} ${held.type}`, node_id: held.node_id })),
];

const unique = (captures) => [...new Map(captures.map((each) => [each.node_id, each])).values()];

const card = ({ number, steps }) => {
  const place = steps[0].place;
  const title = place === "capture" ? (steps.length > 1 ? `${steps.length} captures` : "Capture") : place;
  const parts = steps.map((step) => element("div", { class: "part" },
    step.node_id !== undefined || step.function
      ? element("button", { class: "link what", type: "button", onclick: () => select(goal(step)) }, soft(indent(step) + step.title))
      : element("p", { class: "what" }, soft(step.title)),
    step.where ? element("p", { class: "where" }, soft(step.where)) : null,
    step.facts ? facts(step.facts, state.traced !== null || OPEN_PLACES.has(place)) : null));
  const made = element("li", { class: WIDE_PLACES.has(place) ? "step wide" : "step", style: `--tone: var(--${PLACE_TONES[place] || "bad"})` },
    element("h3", {}, element("span", { class: "number" }, String(number)), element("span", {}, soft(title))),
    element("div", { class: "scroll", tabindex: steps.length > 2 ? "0" : undefined }, ...parts));
  made.goals = steps.map(goal);
  return made;
};

// What a reader wants at once is open: what is fed and fetched, and which trace it is.
const WIDE_PLACES = new Set(["SignatureDef", "capture"]);
const OPEN_PLACES = new Set(["SignatureDef", "capture", "damage"]);
const facts = (lines, open) => {
  const list = element("ul", {}, ...lines.map((line) => element("li", {}, soft(line))));
  if (lines.length === 1 && lines[0].length < 60) return list;
  return element("details", open ? { open: "" } : {}, element("summary", {}, "in detail"), list);
};

const indent = (step) => (step.depth ? `${"\u00a0\u00a0".repeat(step.depth - 1)}calls ` : "");
const goal = (step) => (step.node_id !== undefined ? { node: step.node_id } : { function: step.function });

const markSteps = () => {
  const same = (one) => state.chosen && one.node === state.chosen.node && one.function === state.chosen.function;
  for (const each of byId("steps").children) each.classList.toggle("chosen", each.goals.some(same));
};

const copies = (declared) => {
  const places = [...new Set(declared.flatMap((value) => value.copies.map((copy) => copy.place)))];
  const wrong = declared.filter((value) => value.differences);
  const rows = declared.map((value) => element("tr", value.differences ? { class: "wrong", title: value.differences.join("\n") } : {},
    element("th", { scope: "row" }, `${value.direction} ${value.name}`),
    ...places.map((place) => {
      const copy = value.copies.find((each) => each.place === place);
      return copy ? element("td", { title: copy.where }, [copy.dtype, copy.shape].filter(Boolean).join(" ") || "named")
        : element("td", { class: "none" }, "–");
    })));
  const differences = wrong.flatMap((value) => value.differences.map((each) => element("li", { class: "differ" }, `${value.name}: ${each}`)));
  return element("details", wrong.length ? { open: "" } : {},
    element("summary", {}, "Declared more than once: ",
      wrong.length ? element("span", { class: "differ" }, `the copies of ${counted(wrong.length, "value")} disagree`)
        : element("span", { class: "agree" }, "the copies agree")),
    element("ul", {}, ...differences),
    element("table", {}, element("thead", {}, element("tr", {}, element("td"), ...places.map((each) => element("th", { scope: "col" }, each)))),
      element("tbody", {}, ...rows)));
};

const pairs = (facts) => element("dl", {}, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, soft(value))]));
const linked = (title, items) => (items.length ? [element("h3", {}, title), element("ul", {}, ...items)] : []);
const toNode = (id, text) => element("button", { class: "link", type: "button", onclick: () => select({ node: id }) }, soft(text || shortPath(drawn.objects[id].path) || `nodes[${id}]`));
const toFunction = (name) => (functionByName.has(name)
  ? element("button", { class: "link mono", type: "button", onclick: () => select({ function: name }) }, soft(name)) : element("code", {}, soft(name)));
const referenceItem = (each) => element("li", {},
  each.node !== null && drawn.objects[each.node] ? toNode(each.node, each.what) : each.function ? toFunction(each.function) : each.what,
  " ", element("small", {}, each.does));

const showDetails = () => {
  const { chosen } = state;
  const panel = byId("details");
  if (!chosen) return panel.replaceChildren(element("p", { class: "hint" }, "Select an object, a function or a step to see all about it."));
  if (chosen.node !== undefined) return panel.replaceChildren(...objectDetails(chosen.node));
  const found = functionByName.get(chosen.function);
  return panel.replaceChildren(...(found ? functionDetails(found) : [element("p", {}, `${chosen.function} is not in the library.`)]));
};

const objectDetails = (id) => {
  const object = drawn.objects[id];
  if (!object) return [element("p", {}, `There is no node ${id}.`)];
  const [, tone, name] = kindOf(object);
  return [
    element("h2", {}, soft(shortPath(object.path) || `nodes[${id}]`)),
    element("p", { class: "tag", style: `--tone: var(--${tone})` }, dot(object.kind), `${name}, node ${id}`),
    element("p", { class: "where" }, soft(object.where)),
    pairs(object.facts),
    ...linked("Functions", object.functions.map((each) => element("li", {}, toFunction(each)))),
    ...linked("Captures", object.captures.map((each) => element("li", {}, toNode(each)))),
    ...linked("Children", object.children.slice(0, 200).map(([local, child]) => element("li", {}, toNode(child, local)))),
    ...linked("Referred to by", object.references.map(referenceItem)),
    object.path ? null : element("p", { class: "hint" }, "No path leads to it from the root."),
  ].filter(Boolean);
};

const functionDetails = (found) => [
  element("h2", { class: "mono" }, soft(found.name)),
  element("p", { class: "tag", style: "--tone: var(--resource)" }, "FunctionDef"),
  element("p", { class: "where" }, soft(found.where)),
  pairs(found.facts),
  ...linked("Calls", found.calls.map((each) => element("li", {}, toFunction(each)))),
  ...linked("Referred to by", found.references.map(referenceItem)),
];

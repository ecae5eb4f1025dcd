// What the page shows and how its parts are made. Text from the model is only ever set as text.
const KINDS = {
  user_object: ["O", "object", "object"],
  function: ["F", "function", "function"],
  bare_concrete_function: ["B", "bare", "bare concrete function"],
  variable: ["V", "variable", "variable"],
  constant: ["C", "constant", "constant"],
  asset: ["A", "asset", "asset"],
  resource: ["R", "resource", "resource"],
  captured_tensor: ["T", "captured", "captured tensor"],
};
const PLACE_TONES = {
  SignatureDef: "asset", "signatures map": "object", SavedBareConcreteFunction: "bare", SavedConcreteFunction: "constant",
  FunctionDef: "resource", SavedFunction: "function", capture: "variable", NodeDef: "captured",
};

// Control and bidirectional characters in names are shown as escapes, as in the terminal.
const escaped = (text) =>
  text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
const tour = JSON.parse(document.getElementById("data").textContent, (_, value) =>
  typeof value === "string" ? escaped(value) : value);

const byId = (id) => document.getElementById(id);

const element = (tag, properties = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

// Long names may break after a dot, an underscore or a bracket, and where a capital begins a word.
const soft = (text) => {
  const made = document.createDocumentFragment();
  for (const part of text.split(/(?<=[._/[])(?=\w)|(?<=[a-z])(?=[A-Z])/)) made.append(part, document.createElement("wbr"));
  return made;
};

const counted = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
const kindOf = (object) => KINDS[object.kind] || ["?", "object", object.kind || "of no kind"];
const shortPath = (path) => path.replace(/^root\./, "");

// The state: which MetaGraph, which signature or function is told, what is selected, which nodes are open.
const state = { graph: 0, signature: null, traced: null, chosen: null, open: new Set(), shown: new Map(), kinds: new Set() };
let story, drawn, functionByName, litNodes, litNumbers;

const chooseGraph = (position) => {
  state.graph = position;
  story = tour.meta_graphs[position];
  drawn = tour.drawings[position];
  functionByName = new Map(drawn.functions.map((each) => [each.name, each]));
  state.kinds = new Set(drawn.objects.map((each) => each.kind));
  spanTree();
  showEntries();
  showLegend();
  const first = (story.signatures || [])[0];
  if (first) chooseSignature(first);
  else chooseFunction((story.functions || [])[0] || null);
};

const chooseSignature = (signature) => {
  state.signature = signature;
  state.traced = null;
  const steps = signature.steps || [];
  light(numbered(steps).filter(({ step }) => step.node_id !== undefined).map(({ step, number }) => [step.node_id, number]));
  showChain();
  markEntries();
  select({ node: lastNode(steps) }, { quiet: true });
};

const chooseFunction = (traced) => {
  state.signature = null;
  state.traced = traced;
  const captures = traced ? (traced.traces || []).flatMap((each) => (each.captures || []).map((one) => one.node_id)) : [];
  light(traced ? [[traced.node_id, 1], ...[...new Set(captures)].map((each) => [each, 3])] : []);
  showChain();
  markEntries();
  select(traced ? { node: traced.node_id } : null, { quiet: true });
};

const lastNode = (steps) => {
  const bare = steps.find((step) => step.place === "SavedBareConcreteFunction");
  return bare ? bare.node_id : (steps.find((step) => step.node_id !== undefined) || {}).node_id;
};

// Steps in the same place share one number, as in the terminal.
const numbered = (steps) => {
  let number = 0;
  return steps.map((step, at) => {
    if (at === 0 || step.place !== steps[at - 1].place) number += 1;
    return { step, number };
  });
};

const light = (pairs) => {
  litNumbers = new Map();
  for (const [node, number] of pairs) if (!litNumbers.has(node) && drawn.objects[node]) litNumbers.set(node, number);
  litNodes = new Set(litNumbers.keys()); // those beside the chain are few at first
  state.open = new Set([0]);
  state.shown = new Map();
  for (const node of litNodes) reveal(node, FEW);
  state.shown.delete(0);
};

// Select an object ({node}) or a function of the library ({function}); the panel says all about it.
const select = (chosen, { quiet = false } = {}) => {
  state.chosen = chosen && (chosen.node !== undefined || chosen.function) ? chosen : null;
  if (state.chosen && chosen.node !== undefined) reveal(chosen.node);
  showDetails();
  drawGraph({ follow: !quiet });
  markSteps();
};

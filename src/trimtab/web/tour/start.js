// The search, the theme, and the first view.
const MAX_FOUND = 50;

const candidates = () => [
  ...(story.signatures || []).map((each) => ({ text: each.key, kind: "signature", go: () => chooseSignature(each) })),
  ...(story.functions || []).map((each) => ({ text: each.path + each.parameters, kind: "polymorphic function", go: () => chooseFunction(each) })),
  ...drawn.objects.map((each, id) => ({ text: shortPath(each.path) || `nodes[${id}]`, more: `${each.label} ${each.facts.map(([, value]) => value).join(" ")} node ${id}`, kind: kindOf(each)[2], go: () => select({ node: id }) })),
  ...drawn.functions.map((each) => ({ text: each.name, kind: "FunctionDef", go: () => select({ function: each.name }) })),
];

const search = byId("search"), results = byId("found");
let matches = [], at = -1;

const lookFor = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = (each) => words.every((word) => `${each.text} ${each.more || ""} ${each.kind}`.toLowerCase().includes(word));
  const found = words.length ? candidates().filter(hits) : [];
  const rank = (each) => (each.text.toLowerCase().includes(words.join(" ")) ? 0 : 1);
  matches = found.sort((one, other) => rank(one) - rank(other)).slice(0, MAX_FOUND);
  at = matches.length ? 0 : -1;
  results.replaceChildren(...matches.map((each, position) => {
    const option = element("li", { role: "option", id: `found-${position}`, "aria-selected": String(position === at) }, each.text, element("small", {}, each.kind));
    option.addEventListener("mousedown", (event) => { event.preventDefault(); go(each); });
    return option;
  }), ...(words.length && found.length !== matches.length ? [element("li", { class: "hint" }, `and ${found.length - matches.length} more`)] : []),
  ...(words.length && !found.length ? [element("li", { class: "hint" }, "nothing found")] : []));
  showFound(words.length > 0);
};

const showFound = (shown) => {
  results.hidden = !shown;
  search.setAttribute("aria-expanded", String(shown));
  if (shown && at >= 0) search.setAttribute("aria-activedescendant", `found-${at}`);
  else search.removeAttribute("aria-activedescendant");
};

const go = (match) => {
  showFound(false);
  match.go();
  if (!matchMedia("(min-width: 1181px)").matches && state.chosen) byId("details").scrollIntoView({ block: "nearest" });
};

search.addEventListener("input", lookFor);
search.addEventListener("focus", () => search.value && lookFor());
search.addEventListener("blur", () => showFound(false));
search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { search.value = ""; showFound(false); }
  if (event.key === "Enter" && matches[at]) go(matches[at]);
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  event.preventDefault();
  if (!matches.length) return;
  at = (at + (event.key === "ArrowDown" ? 1 : -1) + matches.length) % matches.length;
  results.childNodes.forEach((each, position) => each.setAttribute("aria-selected", String(position === at)));
  results.childNodes[at].scrollIntoView({ block: "nearest" });
  showFound(true);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) { event.preventDefault(); search.focus(); }
});

const themes = { dark: "Light", light: "Dark" };
const setTheme = (theme) => {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `${themes[theme]} theme`;
};
byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));

const start = () => {
  const asked = new URLSearchParams(location.hash.slice(1));
  setTheme(asked.get("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  const choice = byId("meta-graph");
  choice.append(...tour.meta_graphs.map((each, position) => element("option", { value: position }, (each.tags || []).join(", ") || each.where)));
  byId("graph-choice").hidden = tour.meta_graphs.length < 2;
  choice.addEventListener("change", () => { chooseGraph(Number(choice.value)); showHeader(); });
  const key = asked.get("signature") || tour.first.signature, path = asked.get("function") || tour.first.function;
  const has = (graph) => (graph.signatures || []).some((each) => each.key === key) || (graph.functions || []).some((each) => each.path === path);
  const served = tour.meta_graphs.findIndex((each) => (each.tags || []).includes("serve"));
  const wanted = key || path ? tour.meta_graphs.findIndex(has) : served;
  choice.value = Math.max(0, wanted);
  chooseGraph(Math.max(0, wanted));
  showHeader();
  const signature = (story.signatures || []).find((each) => each.key === key);
  const traced = (story.functions || []).find((each) => each.path === path);
  if (signature) chooseSignature(signature);
  else if (traced) chooseFunction(traced);
  document.documentElement.dataset.ready = "yes";
};
start();

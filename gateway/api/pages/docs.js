// Shows openapi.json: what there is, what each call needs, takes and answers. No library, no other host; text only ever becomes text.

/** An element with properties and children; strings become text nodes. */
function el(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const spec = await (await fetch("/openapi.json")).json();

function resolve(schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? { name, ...spec.components.schemas[name] } : (schema ?? {});
}

/** A schema in a few words: `DeviceKind: "camera" | "speaker"`, `list of DeviceOut`, `string or null`. */
function inWords(schema) {
  if (schema.$ref) {
    const target = resolve(schema);
    return target.enum ? target.enum.map((value) => JSON.stringify(value)).join(" | ") : target.name;
  }
  if (schema.anyOf) return schema.anyOf.map(inWords).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${inWords(schema.items ?? {})}`;
  return [schema.type ?? "any", schema.format].filter(Boolean).join(", ");
}

function fields(schema) {
  const target = resolve(schema);
  if (!target.properties) return el("p", {}, el("code", {}, inWords(schema)));
  const required = new Set(target.required ?? []);
  const rows = Object.entries(target.properties).map(([name, part]) =>
    el("tr", {}, el("td", {}, el("code", {}, name), required.has(name) ? " *" : ""), el("td", {}, el("code", {}, inWords(part))), el("td", {}, part.description ?? "")),
  );
  return el("div", {}, el("p", { className: "about" }, [target.name, target.description].filter(Boolean).join(": ")), el("table", {}, ...rows));
}

function contents(content) {
  return Object.entries(content ?? {}).map(([type, { schema }]) =>
    schema.format === "binary" ? el("p", {}, el("code", {}, type)) : fields(schema),
  );
}

function parameters(operation) {
  if (!operation.parameters.length) return null;
  const rows = operation.parameters.map((one) =>
    el("tr", {}, el("td", {}, el("code", {}, one.name), one.required ? " *" : ""), el("td", {}, one.in), el("td", {}, el("code", {}, inWords(one.schema))), el("td", {}, one.description ?? "")),
  );
  return el("div", {}, el("h4", {}, "Parameters"), el("table", {}, ...rows));
}

function responses(operation) {
  const entries = Object.entries(operation.responses);
  const problems = entries.filter(([status]) => status >= "400");
  const good = entries.filter(([status]) => status < "400");
  return el(
    "div",
    {},
    ...good.flatMap(([status, answer]) => [el("h4", {}, `${status} ${answer.description}`), ...contents(answer.content)]),
    el("h4", {}, "Problems"),
    el("table", {}, ...problems.map(([status, answer]) => el("tr", {}, el("td", {}, status), el("td", {}, answer.description)))),
  );
}

function show(path, method, operation) {
  const verb = method.toUpperCase();
  return el(
    "details",
    { id: operation.operationId },
    el(
      "summary",
      {},
      el("span", { className: `verb ${verb}` }, verb),
      el("code", {}, path),
      el("span", { className: "about" }, operation.summary),
      el("span", { className: "needs" }, operation["x-permission"]),
    ),
    el(
      "div",
      {},
      operation.description ? el("p", {}, operation.description) : null,
      parameters(operation),
      operation.requestBody ? el("h4", {}, "Body") : null,
      ...contents(operation.requestBody?.content),
      responses(operation),
    ),
  );
}

const operations = Object.entries(spec.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => [path, method, operation]));
const index = document.getElementById("index");
const main = document.getElementById("operations");
index.append(el("strong", {}, spec.info.title), " ", el("span", { className: "about" }, spec.info.version));
main.replaceChildren(el("h1", {}, spec.info.title), ...spec.info.description.split("\n\n").map((text) => el("p", {}, text)));
for (const tag of spec.tags) {
  const own = operations.filter(([, , operation]) => operation.tags.includes(tag.name));
  index.append(
    el("h2", {}, tag.name),
    ...own.map(([path, method, operation]) => el("a", { href: `#${operation.operationId}`, title: operation.summary }, `${method.toUpperCase()} ${path.replace("/v1/", "")}`)),
  );
  main.append(el("section", {}, el("h2", {}, tag.name), el("p", { className: "about" }, tag.description), ...own.map((one) => show(...one))));
}

function openChosen() {
  const chosen = document.getElementById(location.hash.slice(1));
  if (chosen instanceof HTMLDetailsElement) {
    chosen.open = true;
    chosen.scrollIntoView();
  }
}
addEventListener("hashchange", openChosen);
openChosen();

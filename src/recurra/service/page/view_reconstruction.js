// Shown behind page.js, whose helpers it uses.

// Rows that are drawn at once, and numbers of a step up to which a row is a series and no picture.
const DRAWN = 12, CURVES = 4;

/** The numbers of a field as lines (T, F); what is missing is null. */
const linesOf = (field) => [field].flat().map((line) => [line].flat().map((value) => (typeof value === "number" ? value : null)));
const shortly = (value) => (typeof value === "number" ? `${+value.toPrecision(6)}` : JSON.stringify(value));

/** Numbers as a picture, grey from `low` to `high`; what is missing has the colour of the page. */
function greys(lines, low, high, words) {
  const canvas = h("canvas", { class: "grey", width: lines[0].length, height: lines.length, role: "img", "aria-label": words });
  const context = canvas.getContext("2d");
  const image = context.createImageData(lines[0].length, lines.length);
  lines.flat().forEach((value, k) => {
    const grey = Math.max(0, Math.min(255, Math.round((255 * (value - low)) / (high - low || 1))));
    image.data.set(value === null ? [0, 0, 0, 0] : [grey, grey, grey, 255], 4 * k);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

/** What was read beside what is said of it: two pictures, or curves, or null where there are single numbers. */
function besideOne(name, read, said) {
  const [was, now] = [linesOf(read), linesOf(said)];
  if (now.length < 2) return null;
  if (now[0].length > CURVES) {
    const known = [...was.flat(), ...now.flat()].filter((value) => value !== null);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const one = (lines, words) => h("figure", { class: "seen" }, greys(lines, low, high, `${name}, ${words}`), h("figcaption", {}, words));
    return h("div", { class: "pictures" }, one(was, "as it was"), one(now, "said again"));
  }
  const column = (lines, d) => lines.map((line) => line[d]);
  return h("div", {}, ...now[0].map((_, d) => twoCurves(now[0].length > 1 ? `${name} ${d + 1}` : name, column(was, d), column(now, d))));
}

function twoCurves(name, was, now) {
  const { svg, draw, at } = axesOf([...was, ...now], now.length);
  svg.setAttribute("aria-label", `${name}: ${now.length} steps, as they were and said again`);
  // A number that is missing parts the line.
  const runs = [[]];
  was.forEach((value, k) => (value === null ? runs.push([]) : runs[runs.length - 1].push(...at([value], k))));
  for (const run of runs) draw("polyline", { class: "past", points: run.join(" ") });
  draw("polyline", { class: "ahead", points: at(now, 0).join(" ") });
  return h("figure", { class: "forecast" },
    h("figcaption", {}, h("b", {}, name), h("span", { class: "past" }, "as it was"), h("span", { class: "ahead" }, "said again")), svg);
}

/** A row as numbers or as JSON, and what is said of it again; rows that are drawn, where codes are distributions. */
views.set("reconstruction", (model) => {
  const given = () => (text().trim().startsWith("{") ? JSON.parse(text()) : { [model.input]: JSON.parse(text()) });
  const numbers = (row, said) =>
    h("table", {}, h("tbody", {},
      h("tr", {}, h("th", {}, "mean squared error"), h("td", {}, said.error === null ? "" : shortly(said.error))),
      ...Object.entries(said.reconstruction).filter(([, value]) => typeof value === "number").map(([name, value]) =>
        h("tr", {}, h("th", {}, name), h("td", {}, shortly(value))))));
  const row = () => {
    try {
      return given();
    } catch {
      return null;
    }
  };
  const answer = () =>
    latest(async (signal) => {
      if (!text().trim()) return show(), note([]);
      const asking = row();
      if (asking === null) return show(), note(["Expected a row as JSON, such as [0, 1.5, null] or {\"a\": 1, \"b\": 2}."]);
      const found = await asked("/predict", { model: model.name, records: [asking] }, signal);
      const said = found.predictions[0];
      const drawn = Object.entries(said.reconstruction).map(([name, value]) => besideOne(name, asking[name], value));
      show(...drawn, numbers(asking, said));
      note(found.notes);
    });
  const temperature = h("input", { type: "range", value: 1, min: 0, max: 2, step: 0.1, "aria-label": "Temperature" });
  const shown = h("span", {}, "1");
  temperature.addEventListener("input", () => (shown.textContent = temperature.value));
  const drawRows = () =>
    latest(async (signal) => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      const body = { model: model.name, number: DRAWN, seed, temperature: Number(temperature.value) };
      const found = await asked("/generate_rows", body, signal);
      const each = found.pictures
        ? [h("div", { class: "pictures many" }, ...found.pictures.map((one, n) => greys(one, 0, 255, `drawn row ${n + 1}`)))]
        : found.rows.map((one) => h("p", { class: "chords" }, JSON.stringify(one, (_, value) => (typeof value === "number" ? +value.toPrecision(4) : value))));
      show(...each, h("p", { class: "help" }, `Seed ${seed}`));
      note(found.notes);
    });
  const controls = [h("button", { class: "main", type: "submit" }, "Say again")];
  if (model.uses.includes("generate")) {
    controls.push(h("button", { type: "button", onclick: drawRows }, "Draw rows"), h("label", {}, "Temperature", temperature, shown));
  }
  return { prompt: "Numbers as a list, or a row as JSON; null is missing", controls, typed: () => {}, entered: answer };
});
